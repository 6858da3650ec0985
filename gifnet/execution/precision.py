"""What precision this processor computes quickest in: found out by timing, for its name tells little.

With AMX, bfloat16 takes half of float32's time and less; with AVX512-BF16 alone, or with neither, it can take twice as
long, for much of the work is then done in float32 between conversions.
"""

import functools
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

WORTH = 0.8  # of float32's time, from which on down bfloat16 is worth its coarser numbers
CHANNELS, SIDE, WINDOWS, POSITIONS, HEADS = 98, 64, 64, 64, 2  # of a chunk of GIFNet's
REPEATS = 4  # of which the quickest counts; both precisions take turns, so that other work disturbs both


def fastest_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA; on a processor bfloat16 where that is worth it; else float32."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if device.type == "cpu" and bfloat16_share() <= WORTH else torch.float32


@functools.lru_cache(maxsize=1)
def bfloat16_share() -> float:
    """The time that this processor takes for a block of a network in bfloat16, over that in float32.

    Timed once in a process, in well under a second.
    """
    blocks = {dtype: _block(dtype) for dtype in (torch.float32, torch.bfloat16)}
    times: dict[torch.dtype, list[float]] = {dtype: [] for dtype in blocks}
    with torch.inference_mode():
        for _ in range(1 + REPEATS):  # the first chooses kernels and converts weights
            for dtype, block in blocks.items():
                begun = time.perf_counter()
                block()
                times[dtype].append(time.perf_counter() - begun)
    return min(times[torch.bfloat16][1:]) / min(times[torch.float32][1:])


def _block(dtype: torch.dtype) -> Callable[[], Tensor]:
    """What networks do most, on as much as GIFNet does at once: convolutions, matrix products, attention, copies."""
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    image = values(1, CHANNELS, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    kernel = (0.03 * values(CHANNELS, CHANNELS, 3, 3)).contiguous(memory_format=torch.channels_last)
    matrix = 0.1 * values(CHANNELS, CHANNELS)

    def run() -> Tensor:
        x = F.relu(F.conv2d(image, kernel, padding=1))
        rows = x.permute(0, 2, 3, 1).reshape(-1, CHANNELS) @ matrix
        heads = rows.reshape(WINDOWS, POSITIONS, HEADS, CHANNELS // HEADS).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2)
        return F.gelu(mixed.reshape(-1, CHANNELS) @ matrix) + rows

    return run
