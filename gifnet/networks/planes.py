"""The planes that every network takes."""

from torch import Tensor


def check_planes(a: Tensor, b: Tensor) -> None:
    """Raise ValueError unless ``a`` and ``b`` are equally shaped, non-empty floating-point planes (B, 1, H, W)."""
    for name, plane in (("a", a), ("b", b)):
        if plane.ndim != 4 or plane.shape[1] != 1 or 0 in plane.shape or not plane.is_floating_point():
            raise ValueError(
                f"{name} must be floating point of shape (B, 1, H, W), not {plane.dtype} {tuple(plane.shape)}"
            )
    if a.shape != b.shape or a.dtype != b.dtype:
        raise ValueError(f"a {a.dtype} {tuple(a.shape)} and b {b.dtype} {tuple(b.shape)} must agree in shape and dtype")
