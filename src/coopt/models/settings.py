"""Device and precision, as a user writes them."""

import torch

from coopt.errors import ModelError, did_you_mean

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The device to load onto; None is the CPU.

    Raises:
        ModelError: no such device on this machine.
    """
    try:
        resolved = torch.device("cpu" if device is None else device)
    except RuntimeError as error:
        raise ModelError(f"device={device!r} is not a device; write 'cpu', 'cuda' or 'cuda:0'.") from error
    if resolved.type == "cuda":
        if not torch.cuda.is_available():
            raise ModelError(
                f"device={str(device)!r}, but PyTorch {torch.__version__} sees no CUDA device. Use device='cpu', or "
                "install a CUDA build of PyTorch and check the driver with nvidia-smi."
            )
        if resolved.index is not None and resolved.index >= torch.cuda.device_count():
            last = torch.cuda.device_count() - 1
            raise ModelError(f"device={str(device)!r}, but the last CUDA device of this machine is 'cuda:{last}'.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError(f"device={str(device)!r}, but this machine has no MPS device. Use device='cpu'.")
    return resolved


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """The precision to load in; None is float32.

    Raises:
        ModelError: not one of float32, bfloat16, float16.
    """
    if dtype is None:
        return torch.float32
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise ModelError(
                f"dtype={dtype!r} is not supported; allowed are {', '.join(DTYPES)}.{did_you_mean(dtype, DTYPES)}"
            )
        return DTYPES[dtype]
    if dtype not in DTYPES.values():
        raise ModelError(f"dtype={dtype} is not supported; allowed are {', '.join(DTYPES)}.")
    return dtype
