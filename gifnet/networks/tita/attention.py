"""Attention in windows, for training on a processor: the plain form's sums, in few passes over the logits.

The logits are by far the largest tensors. A softmax would read them three times; here their exponentials are taken as
they are, and the product with the values, to which a column of ones is joined, gives the sums to divide by. Where that
leaves float32's range the largest logit of each row is taken off first, as a softmax does.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

APART = -1000.0  # its power is 0. That of the plain form's -100 is a denormal number, which processors are slow with
SAFE = (1e-30, 1e30)  # sums of exponentials in between are exact to rounding


class Grid(NamedTuple):
    """The windows of one shifted image, as the cyclic shift leaves them: those of the last row and column are mixed."""

    rows: int
    columns: int
    window: int  # pixels a side


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, grid: Grid | None = None) -> Tensor:
    """Multi-head attention in windows; differentiable.

    ``query``, which is scaled, ``key`` and ``value``: (W, pixels, heads, d) of W windows; ``bias``: (heads, pixels,
    pixels). With a ``grid``, pixels that only the cyclic shift made neighbours do not see each other. Returns
    (W · pixels, heads · d).
    """
    if torch.is_grad_enabled():
        attended: Tensor = _Attend.apply(query, key, value, bias, grid)  # type: ignore[no-untyped-call]
        return attended
    return _attend(query, key, value, bias, grid)[0]


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, grid: Grid | None) -> tuple[Tensor, ...]:
    """The result (W · pixels, heads · d), and what its gradient is made of."""
    windows, pixels, heads, d = query.shape
    q, k = (each.transpose(1, 2).reshape(-1, pixels, d) for each in (query, key))
    v = torch.ones((windows, heads, pixels, d + 1), dtype=value.dtype, device=value.device)
    v[..., :d] = value.transpose(1, 2)
    v = v.flatten(0, 1)
    powers = _logits(q, k, bias, grid).exp_()
    sums = torch.bmm(powers, v)
    if not bool(((sums[..., d:] > SAFE[0]) & (sums[..., d:] < SAFE[1])).all()):
        logits = _logits(q, k, bias, grid)
        powers = logits.sub_(logits.amax(dim=-1, keepdim=True)).exp_()
        sums = torch.bmm(powers, v)
    result = torch.empty_like(query, memory_format=torch.contiguous_format)
    total = sums[..., d:]
    torch.div(_by_window(sums[..., :d], heads), _by_window(total, heads), out=result)
    return result.view(windows * pixels, heads * d), q, k, v, powers, total


def _by_window(x: Tensor, heads: int) -> Tensor:
    """(W · heads, pixels, d) as (W, pixels, heads, d)."""
    return x.unflatten(0, (-1, heads)).transpose(1, 2)  # type: ignore[no-untyped-call, no-any-return]


def _logits(q: Tensor, k: Tensor, bias: Tensor, grid: Grid | None) -> Tensor:
    heads = len(bias)
    logits = torch.bmm(q, k.transpose(1, 2))
    logits.unflatten(0, (-1, heads)).add_(bias)  # type: ignore[no-untyped-call]
    if grid:
        by_place = logits.view(grid.rows, grid.columns, heads, *logits.shape[1:])
        below, beside = _halves(grid.window, logits)
        by_place[-1] += below
        by_place[:, -1] += beside
    return logits


def _halves(window: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """What is added in windows of the last row, and of the last column: (pixels, pixels) each."""
    side = torch.arange(window, device=like.device) >= window // 2
    below = side[:, None].expand(window, window).flatten()
    beside = side[None, :].expand(window, window).flatten()
    apart = [(half[:, None] != half[None, :]).to(like.dtype) * APART for half in (below, beside)]
    return apart[0], apart[1]


class _Attend(torch.autograd.Function):
    """``attend`` with its gradient worked out: the exponentials are kept, and read twice."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, grid: Grid | None) -> Tensor:
        result, *kept = _attend(query, key, value, bias, grid)
        ctx.save_for_backward(result, *kept)
        ctx.heads = len(bias)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        result, q, k, v, powers, total = ctx.saved_tensors
        heads, (_, pixels, d) = ctx.heads, q.shape
        # Of O = P V / Z: with G the gradient over Z, P's is G V' - sum(G O), and dS = P * that.
        gradient, result = (each.view(-1, pixels, heads, d).transpose(1, 2) for each in (gradient, result))
        over = torch.empty_like(v)
        g = over[..., :d]
        torch.div(gradient.reshape(g.shape), total, out=g)
        torch.sum(g * result.reshape(g.shape), dim=-1, keepdim=True, out=over[..., d:]).neg_()
        of_logits = torch.bmm(over, v.transpose(1, 2)).mul_(powers)
        of_bias = of_logits.unflatten(0, (-1, heads)).sum(dim=0)  # type: ignore[no-untyped-call]
        return (
            _by_window(torch.bmm(of_logits, k), heads),
            _by_window(torch.bmm(of_logits.transpose(1, 2), q), heads),
            _by_window(torch.bmm(powers.transpose(1, 2), g), heads),
            of_bias,
            None,
        )
