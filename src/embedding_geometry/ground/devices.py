"""Where torch computes, in what precision, and how it says that memory ran out.

torch is imported inside the functions, so that what lies below the model starts without it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

OUT_OF_MEMORY = (  # as torch says it on the processor, on CUDA and on MPS
    "DefaultCPUAllocator",
    "can't allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "Invalid buffer size",
)


def lacks_memory(error: BaseException) -> bool:
    """Whether the error says that memory ran out; on most devices it has no class of its own."""
    return isinstance(error, MemoryError) or any(said in str(error) for said in OUT_OF_MEMORY)


def default_device() -> str:
    """Return the first of CUDA, MPS and CPU that this machine has."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def find_device(device: str | None) -> "torch.device":
    """Return the named device, by default the first of CUDA, MPS and CPU.

    Raises:
        ValueError: this machine has no such device.
    """
    import torch

    try:
        found = torch.empty(0, device=default_device() if device is None else device).device
    except Exception as error:  # each kind of device fails in its own way
        message = f"device {device!r} is not available here; try {default_device()!r}"
        raise ValueError(message) from error
    if found.type == "meta":
        raise ValueError(f"device 'meta' computes nothing; try {default_device()!r}")
    return found


def use_full_float32() -> None:
    """Have CUDA multiply float32 as float32.

    Left alone, convolutions round their factors to TF32, which has the 10 bits of float16: what is
    called float32 in a manifest would then be less on some graphics cards than elsewhere.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    matmul: Any = torch.backends.cuda.matmul
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    if hasattr(torch.backends, "fp32_precision"):  # torch's newer word for all of them would rule
        for operation in (cudnn.conv, cudnn.rnn, matmul):
            operation.fp32_precision = "ieee"
