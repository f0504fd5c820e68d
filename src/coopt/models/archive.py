"""Reading the tensors of a `.pt` file without running anything that it holds."""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopt.errors import ModelError, first_line

STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, a pickled state dict, or a TorchScript archive.

    Pickled state dicts go through torch.load(weights_only=True). Of a TorchScript archive only the tensors and their
    places in the module tree are read; its code is neither compiled nor run.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than tensors.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file '{path}'.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    return _read_torchscript(archive)
        return _unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"'{path}' is damaged or holds Python objects beside tensors, which coopt refuses to load because they "
            "can run code. If you trust its source, save the model's state_dict() as safetensors with the program "
            f"that wrote it. ({first_line(error)})"
        ) from error
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error
    except Exception as error:  # zip, pickle, storage and safetensors errors of many classes
        raise ModelError(
            f"'{path}' cannot be read as a checkpoint ({type(error).__name__}: {first_line(error)}). "
            "It may be damaged or incomplete; download it again."
        ) from error


def _unwrapped(value: Any) -> dict[str, Tensor]:
    """The state dict inside the usual wrappings of training programs."""
    if isinstance(value, Mapping) and isinstance(value.get("state_dict"), Mapping):
        value = value["state_dict"]
    if not isinstance(value, Mapping) or not value:
        raise ModelError(f"it holds {type(value).__name__}, not a state dict (a mapping from names to tensors).")
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):  # DistributedDataParallel's wrapping
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


class _Record:
    """Stands for an object of any TorchScript class: keeps its attributes, does nothing."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _keep_first(value: Any, *_: Any) -> Any:
    return value


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors, plain containers and inert records, and refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(archive.open(f"{root}/data.pkl"))
        self.archive = archive
        self.root = root
        self.storages: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Record
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":  # typed lists and type tags
            return _keep_first
        raise pickle.UnpicklingError(f"the archive names {module}.{name}, which is no tensor")

    def persistent_load(self, reference: Any) -> Tensor:
        _, dtype, key, _, _ = reference
        if key not in self.storages:
            content = bytearray(self.archive.read(f"{self.root}/data/{key}"))  # zipfile checks the CRC
            empty = torch.empty(0, dtype=dtype)
            self.storages[key] = torch.frombuffer(content, dtype=dtype) if content else empty
        return self.storages[key]


def _view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return torch.as_strided(storage, size, stride, offset)


def _read_torchscript(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    root = archive.namelist()[0].split("/")[0]
    if f"{root}/byteorder" in archive.namelist() and archive.read(f"{root}/byteorder") != b"little":
        raise ModelError("its numbers are stored big-endian; save it on a little-endian machine.")
    tensors: dict[str, Tensor] = {}
    _collect(_Reader(archive, root).load(), "", tensors)
    return tensors


def _collect(record: Any, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Walk the module tree; the path to a tensor is its name in the state dict."""
    if not isinstance(record, _Record) or not isinstance(record.state, Mapping):
        return
    for name, value in record.state.items():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        else:
            _collect(value, f"{prefix}{name}.", tensors)
