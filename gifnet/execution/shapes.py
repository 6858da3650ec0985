"""A bound on what oneDNN, torch's library for convolutions on processors, keeps in memory.

For each shape of a convolution it makes code, and it keeps the last 1,024 of them: a process grows with every size of
image that it meets. How many it keeps follows from a variable of the environment, which it reads once, when it is
first used; torch has no call for it.
"""

import os
from functools import cache

import torch

KEPT = 128  # as many as one size of image takes; making another one takes less than a millisecond
_VARIABLE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_USERS = (_VARIABLE, "DNNL_PRIMITIVE_CACHE_CAPACITY")  # the second is its older name


@cache
def keep_few_shapes() -> None:
    """Let oneDNN keep ``KEPT`` shapes in this process, for everyone who uses it, and leave the environment as it is.

    Nothing is done where the environment says how many, and nothing is changed where oneDNN has been in use before.
    """
    if any(name in os.environ for name in _USERS) or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    os.environ[_VARIABLE] = str(KEPT)
    try:
        torch.zeros(1, 1, 2, 2, dtype=torch.float32, device="cpu").to_mkldnn().to_dense()  # the first use
    finally:
        os.environ.pop(_VARIABLE, None)
