"""What training sets in torch and in the C library, for the whole process."""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def configure_torch(threads: int) -> None:
    """Makes training on this process reproducible: a fixed number of threads and deterministic algorithms."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Filling every new tensor is a debugging aid that comes with the flag above, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> bool:
    """Has the C library keep the memory that a step frees for the next one; whether it does (glibc only).

    By default it gives arrays of some megabytes back to the system each time, which then hands them out again page by
    page: a thousand page faults a step, up to a tenth of the time of a small model. The peak stays the same.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # The largest values that it takes: 32 MiB for arrays of their own, and no trimming below a gigabyte.
    return bool(mallopt(_M_MMAP_THRESHOLD, 1 << 25) and mallopt(_M_TRIM_THRESHOLD, 1 << 30))
