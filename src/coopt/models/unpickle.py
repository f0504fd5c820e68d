"""An unpickler that builds tensors and plain containers, and runs nothing that a file holds."""

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of a file that torch.save wrote before version 1.6."""
SPREAD = 2**20
"""How many numbers a tensor may show beyond those that are stored for it (a broadcast one shows some many times)."""


class Inert:
    """Stands for an object of any other class: takes what a pickle gives it, keeps its attributes, does nothing."""

    state: Any = None

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __call__(self, *_: Any, **__: Any) -> "Inert":
        """Nothing happens."""
        return self

    def add(self, item: Any) -> None:
        """An item of a set of its class."""

    def append(self, item: Any) -> None:
        """An item of a list of its class."""

    def extend(self, items: Any) -> None:
        """Items of a list of its class."""


class PlainDict(dict[Any, Any]):
    """An ordered or a defaulting dict; what else it was given is left out."""

    __slots__ = ()

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None: ...


class PairDict(PlainDict):
    """An OrderedDict, which old pickles fill by a list of pairs."""

    __slots__ = ()

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__()
        for key, value in pairs:
            self[key] = value


class Allowed:
    """A function that a pickle may call; it cannot be changed by the pickle."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


def _view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    shown = 1
    for length in size:
        shown *= length
    if shown > storage.numel() + SPREAD:
        raise pickle.UnpicklingError(f"a tensor shows {shown:,} numbers of {storage.numel():,} that are stored")
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


def _keep_first(value: Any, *_: Any) -> Any:
    return value


def _rebuild(function: Any, _: Any, arguments: tuple[Any, ...], *__: Any) -> Any:
    """A tensor with attributes of its own, which are left out."""
    if not isinstance(function, Allowed):
        raise pickle.UnpicklingError("a tensor is rebuilt by an unknown function")
    return function(*arguments)


TENSORS: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor"): _view,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch._utils", "_rebuild_parameter"): _keep_first,
    ("torch._utils", "_rebuild_parameter_with_state"): _keep_first,
    ("torch._tensor", "_rebuild_from_type_v2"): _rebuild,
}
PLAIN: dict[tuple[str, str], type] = {
    ("collections", "OrderedDict"): PairDict,
    ("collections", "defaultdict"): PlainDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch", "Size"): tuple,
}


class Reader(pickle.Unpickler):
    """Knows tensors, plain containers and `Inert` objects, and no other name.

    Args:
        file: what holds the pickle.
        storage: gives the numbers of a tensor by (dtype, key, how many).
        stand_in: whether an unknown class is one of inert objects; else the file is refused. The classes of
            TorchScript modules always are.
    """

    def __init__(self, file: Any, storage: Callable[[Any, str, int], Tensor], *, stand_in: bool) -> None:
        super().__init__(file, encoding="latin1")  # as Python 2 wrote texts
        self.storage, self.stand_in = storage, stand_in

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for; nothing is imported."""
        if module == "torch" and name in STORAGE_DTYPES:
            return STORAGE_DTYPES[name]
        if (module, name) in TENSORS:
            return Allowed(TENSORS[module, name])
        if (module, name) in PLAIN:
            return PLAIN[module, name]
        if module == "torch.jit._pickle":  # typed lists and type tags
            return Allowed(_keep_first)
        if self.stand_in or module == "__torch__" or module.startswith("__torch__."):
            return type(name, (Inert,), {})  # of its own: a pickle can set attributes of a class
        raise pickle.UnpicklingError(f"the archive names {module}.{name}, which is no tensor")

    def persistent_load(self, reference: Any) -> Tensor:
        """The numbers of a tensor."""
        kind, dtype, key, _, length, *_ = reference
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"the archive refers to {kind!r} of {dtype!r}, which are no numbers")
        return self.storage(dtype, str(key), int(length))


def read_archive(archive: zipfile.ZipFile, *, stand_in: bool) -> Any:
    """What torch.save or TorchScript wrote into a zip file.

    Raises:
        UnpicklingError, KeyError, ValueError, RuntimeError: it is damaged, or holds what is not allowed.
    """
    names = archive.namelist()
    root = next(name.split("/")[0] for name in names if name.endswith("/data.pkl"))
    if f"{root}/byteorder" in names and archive.read(f"{root}/byteorder") != b"little":
        raise ValueError("its numbers are stored big-endian; save it on a little-endian machine")
    storages: dict[str, Tensor] = {}

    def storage(dtype: torch.dtype, key: str, _: int) -> Tensor:
        if key not in storages:
            facts = archive.getinfo(f"{root}/data/{key}")
            if facts.compress_type != zipfile.ZIP_STORED:  # a small file could become any number of bytes
                raise pickle.UnpicklingError("its numbers are compressed, which torch.save does not do")
            storages[key] = numbers(archive.read(facts), dtype)  # zipfile checks the CRC
        return storages[key]

    with archive.open(f"{root}/data.pkl") as file:
        return Reader(file, storage, stand_in=stand_in).load()


def read_legacy(path: Path, *, stand_in: bool) -> Any:
    """What torch.save wrote before version 1.6: four pickles, then the numbers of all tensors.

    The pickle names its numbers before they come, so tensors are made of empty storages that are filled afterwards.

    Raises:
        UnpicklingError, EOFError, struct.error, ValueError: it is damaged, or holds what is not allowed.
    """
    storages: dict[str, Tensor] = {}
    size = path.stat().st_size

    def storage(dtype: torch.dtype, key: str, length: int) -> Tensor:
        if key not in storages:
            held = sum(tensor.numel() * tensor.dtype.itemsize for tensor in storages.values())
            if length < 0 or held + length * dtype.itemsize > size:
                raise EOFError(f"{length:,} more numbers do not fit into a file of {size:,} bytes")
            storages[key] = torch.zeros(length, dtype=dtype)
        return storages[key]

    with open(path, "rb") as file:
        first = Reader(file, storage, stand_in=False).load()
        if first != LEGACY_MAGIC:
            raise pickle.UnpicklingError("it is no file of torch.save")
        for _ in ("protocol", "facts of the machine"):
            Reader(file, storage, stand_in=False).load()
        value = Reader(file, storage, stand_in=stand_in).load()
        for key in Reader(file, storage, stand_in=False).load():
            target = storages[str(key)]
            (length,) = struct.unpack("<q", file.read(8))
            content = file.read(length * target.dtype.itemsize)
            if length != len(target) or len(content) != length * target.dtype.itemsize:
                raise EOFError("it ends within a tensor")
            target.copy_(numbers(content, target.dtype))
    return value


def numbers(content: bytes, dtype: torch.dtype) -> Tensor:
    """Bytes as numbers."""
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)
