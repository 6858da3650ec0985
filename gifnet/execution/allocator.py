"""How much of what is freed the C library keeps for what is asked for next.

glibc gives large blocks back to the system as soon as they are freed, and the system hands them out anew page by page,
which took a quarter of the time of a camera's frame. How large they must be for that glibc learns as it goes, from the
blocks that it sees freed, up to one of 32 MB: from then on they come from its heap, where up to 64 MB stay when freed.
Any program that frees such a block has this; here it is so from the start. Who sets glibc's tunables, or its variables
``MALLOC_..._``, decides instead; other C libraries learn nothing from it.
"""

from functools import cache

import torch

LARGEST = (32 << 20) - (64 << 10)  # bytes of a block that glibc still learns from, with what it adds


@cache
def keep_freed_memory() -> None:
    """Let a block of that size be freed, once. Nothing is written to it, so that it takes no memory."""
    torch.empty(LARGEST, dtype=torch.uint8, device="cpu")
