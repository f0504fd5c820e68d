"""Reading the tensors of a `.pt` file without running anything that it holds."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopt.errors import ModelError, first_line
from coopt.models.unpickle import Inert, read_archive, read_legacy


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, a pickled state dict, or a TorchScript archive.

    Pickled state dicts go through torch.load(weights_only=True). Of a TorchScript archive only the tensors and their
    places in the module tree are read; its code is neither compiled nor run.

    Raises:
        ModelError: the file is missing, damaged, or holds something else than tensors.
    """
    with _refusing(path):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                    tensors: dict[str, Tensor] = {}
                    _collect(read_archive(archive, stand_in=False), "", tensors)
                    return tensors
        return unwrapped(torch.load(path, map_location="cpu", weights_only=True))


def read_objects(path: Path) -> Any:
    """What torch.save or safetensors wrote: tensors and plain containers, and `Inert` for any other object.

    Nothing in the file is run, and nothing that it names is imported.

    Raises:
        ModelError: the file is missing or damaged.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)
    with _refusing(path):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return read_archive(archive, stand_in=True)
        with open(path, "rb") as file:
            if file.read(4) == b"PK\x03\x04":
                raise ModelError("it begins as a checkpoint and ends early: it was cut. Copy or download it again.")
        return read_legacy(path, stand_in=True)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Say of any error what is wrong with the file."""
    if not path.is_file():
        raise ModelError(f"there is no checkpoint file '{path}'.")
    try:
        yield
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


def unwrapped(value: Any) -> dict[str, Tensor]:
    """The state dict inside the usual wrappings of training programs.

    Raises:
        ModelError: there is none.
    """
    if isinstance(value, Mapping) and isinstance(value.get("state_dict"), Mapping):
        value = value["state_dict"]
    if not isinstance(value, Mapping) or not value:
        raise ModelError(f"it holds {type(value).__name__}, not a state dict (a mapping from names to tensors).")
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if tensors and all(name.startswith("module.") for name in tensors):  # DistributedDataParallel's wrapping
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _collect(record: Any, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Walk the module tree; the path to a tensor is its name in the state dict."""
    if not isinstance(record, Inert) or not isinstance(record.state, Mapping):
        return
    for name, value in record.state.items():
        if isinstance(value, Tensor):
            tensors[prefix + name] = value
        else:
            _collect(value, f"{prefix}{name}.", tensors)
