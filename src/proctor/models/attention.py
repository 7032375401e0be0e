"""Attention in parts: queries over one run of keys at a time, and the parts merged by their log-sum-exp.

Softmax over a union of keys is a weighted mean of the softmaxes over its parts, the weights being the parts' normalisers (Milakov and
Gimelshein 2018, arXiv:1805.02867; for shared prefixes Juravsky et al. 2024, Hydragen, arXiv:2402.05099). So a prefix that many tokens share
is attended to in one call without a mask, and its keys are never copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SLICE = 1 << 24
"""Scores that the plain kernel holds at a time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a layer's attention is, besides its queries, keys and values.

    Attributes:
        scale: of the products of queries and keys.
        window: a query sees only keys fewer than so many positions before it; None for all.
        softcap: scores are squashed to ± this much by a hyperbolic tangent (Gemma 2); None for no squashing.
        sinks: of each head, a score that takes part in the normaliser and has no value (gpt-oss), shape (heads,); None for none.
    """

    scale: float
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    shape: Shape,
    causal: bool = False,
    mask: torch.Tensor | None = None,
    blind: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Softmax attention over one run of keys, and its normaliser.

    Args:
        q: shape (batch, heads, queries, dim).
        k, v: shape (batch, key-value heads, keys, dim); heads share them in groups.
        shape: scale and squashing; the window must be in the mask.
        causal: query i sees the keys up to i; as many keys as queries.
        mask: added to the scores, broadcast to (batch, 1, queries, keys).
        blind: whether the mask may leave a query nothing to see.

    Returns:
        (output of shape (batch, heads, queries, dim), log-sum-exp of the scores of shape (batch, heads, queries); for a query that sees
        nothing 0 and minus infinity)
    """
    if shape.softcap is None and not blind and q.shape[-1] == v.shape[-1]:
        if q.device.type == "cpu":
            return _flash_cpu(q, k, v, shape.scale, causal, mask)
        if q.device.type == "cuda" and mask is None and _flashes(q):
            return _flash_cuda(q, k, v, shape.scale, causal)
    return _plain(q, k, v, shape, causal, mask)


def merge(out: torch.Tensor, lse: torch.Tensor, more: torch.Tensor, more_lse: torch.Tensor) -> None:
    """Merge a second part into `out` and `lse`, in place. Shapes as `attend` returns them; the first part is never blind."""
    import torch

    weight = torch.sigmoid(more_lse - lse)
    out.lerp_(more, weight[..., None].to(out.dtype))
    torch.logaddexp(lse, more_lse, out=lse)


def sink(out: torch.Tensor, lse: torch.Tensor, sinks: torch.Tensor) -> None:
    """Let a score without a value take part in the normaliser, in place."""
    import torch

    out.mul_(torch.sigmoid(lse - sinks.float()[:, None])[..., None].to(out.dtype))


def _flash_cpu(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    batch, heads, queries, dim = q.shape
    group = heads // k.shape[1]
    if causal or group == 1 or (mask is not None and mask.shape[-2] != 1):
        out, lse = flash(q, k, v, 0.0, causal, attn_mask=mask, scale=scale)
        return out, lse
    # Heads that share keys, as one head of more queries: a larger matrix product.
    stacked = q.reshape(batch, k.shape[1], group * queries, dim)
    out, lse = flash(stacked, k, v, 0.0, False, attn_mask=mask, scale=scale)
    return out.reshape(batch, heads, queries, dim), lse.reshape(batch, heads, queries)


def _flashes(q: torch.Tensor) -> bool:
    """Whether the GPU's kernel takes such queries: half precision, Ampere or newer, heads of at most 256 in steps of 8."""
    import torch

    return q.element_size() == 2 and q.shape[-1] <= 256 and q.shape[-1] % 8 == 0 and torch.cuda.get_device_capability(q.device) >= (8, 0)


def _flash_cuda(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, causal: bool) -> tuple[torch.Tensor, torch.Tensor]:
    import torch

    batch, heads, queries, dim = q.shape
    group = heads // k.shape[1]
    if group > 1 and causal:
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
    elif group > 1:
        q = q.reshape(batch, k.shape[1], group * queries, dim)
    found: Any = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, scale=scale)
    return found[0].reshape(batch, heads, queries, dim), found[1][:, :, : q.shape[2]].reshape(batch, heads, queries)


def _plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, shape: Shape, causal: bool, mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Any head sizes, any device; scores in float32, some queries at a time."""
    import torch

    batch, heads, queries, dim = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    group = heads // kv_heads
    out = torch.empty(batch, heads, queries, v.shape[-1], dtype=q.dtype, device=q.device)
    lse = torch.empty(batch, heads, queries, dtype=torch.float32, device=q.device)
    if causal:
        at = torch.arange(queries, device=q.device)
        mask = torch.zeros(queries, keys, dtype=torch.float32, device=q.device).masked_fill_(at[:, None] < at, -torch.inf)
    step = max(1, SLICE // (batch * heads * keys))
    for low in range(0, queries, step):
        part = slice(low, min(low + step, queries))
        stacked = q[:, :, part].reshape(batch, kv_heads, -1, dim)
        # Scaled first: the products of large states overflow half precision.
        scores = ((stacked * shape.scale) @ k.transpose(-1, -2)).float().view(batch, kv_heads, group, -1, keys)
        if shape.softcap is not None:
            scores = scores.div_(shape.softcap).tanh_().mul_(shape.softcap)
        if mask is not None:
            rows = mask if mask.shape[-2] == 1 else mask[..., part, :]
            scores += rows[:, :, None] if rows.dim() == 4 else rows
        norm = scores.logsumexp(-1)
        seen = torch.where(norm == -torch.inf, 0.0, norm)  # a blind query: exp(-inf - 0) is 0 everywhere
        weights = scores.sub_(seen[..., None]).exp_().to(q.dtype)
        got = weights.view(batch, kv_heads, -1, keys) @ v
        out[:, :, part] = got.view(batch, heads, -1, v.shape[-1])
        lse[:, :, part] = norm.view(batch, heads, -1)
    return out, lse
