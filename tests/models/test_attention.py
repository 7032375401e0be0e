"""Attention in parts against torch's own softmax attention over the whole."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from proctor.models import attention
from proctor.models.attention import Shape, attend, merge, sink


def tensors(queries, keys, heads=6, kv_heads=2, dim=16, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, heads, queries, dim, generator=generator)
    k, v = (torch.randn(batch, kv_heads, keys, dim, generator=generator) for _ in range(2))
    return q, k, v


def whole(q, k, v, mask=None, causal=False, scale=None):
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=True)


@pytest.fixture(params=["kernel", "plain", "plain in slices"])
def kernel(request, monkeypatch):
    if request.param == "kernel":
        return attend
    monkeypatch.setattr(attention, "SLICE", 50 if "slices" in request.param else 1 << 24)
    return lambda q, k, v, shape, causal=False, mask=None, blind=False: attention._plain(q, k, v, shape, causal, mask)


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("batch", [1, 3])
def test_each_kind_of_call_equals_torchs(kernel, kv_heads, batch):
    q, k, v = tensors(9, 9, kv_heads=kv_heads, batch=batch)
    shape = Shape(0.3)
    seen = torch.rand(9, 9, generator=torch.Generator().manual_seed(1)) < 0.5
    mask = torch.zeros(9, 9).masked_fill(~(seen | torch.eye(9, dtype=torch.bool)), -torch.inf)
    torch.testing.assert_close(kernel(q, k, v, shape)[0], whole(q, k, v, scale=0.3))
    torch.testing.assert_close(kernel(q, k, v, shape, causal=True)[0], whole(q, k, v, causal=True, scale=0.3))
    torch.testing.assert_close(kernel(q, k, v, shape, mask=mask)[0], whole(q, k, v, mask=mask, scale=0.3))
    one = mask[:batch, None, None]  # a mask for each of a batch, the same for every query
    torch.testing.assert_close(kernel(q[:, :, :1], k, v, shape, mask=one)[0], whole(q[:, :, :1], k, v, mask=one, scale=0.3))


def test_the_normaliser_is_the_log_sum_of_exponentials(kernel):
    q, k, v = tensors(5, 7)
    scores = (q @ k.repeat_interleave(3, dim=1).transpose(-1, -2)) * 0.25
    torch.testing.assert_close(kernel(q, k, v, Shape(0.25))[1].contiguous(), scores.logsumexp(-1))


def test_merged_parts_equal_the_whole(kernel):
    q, k, v = tensors(5, 30)
    shape = Shape(0.25)
    out, lse = (part.contiguous() for part in kernel(q, k[:, :, :4], v[:, :, :4], shape))
    for low, high in ((4, 5), (5, 22), (22, 30)):
        merge(out, lse, *kernel(q, k[:, :, low:high], v[:, :, low:high], shape))
    torch.testing.assert_close(out, whole(q, k, v))
    torch.testing.assert_close(lse, kernel(q, k, v, shape)[1].contiguous())


def test_a_query_that_sees_nothing_adds_nothing():
    q, k, v = tensors(3, 8)
    mask = torch.zeros(3, 8)
    mask[1] = -torch.inf
    blind, none = attend(q, k, v, Shape(0.25), mask=mask, blind=True)
    assert torch.equal(blind[:, :, 1], torch.zeros(1, 6, 16))
    assert bool((none[:, :, 1] == -torch.inf).all())
    out, lse = (part.contiguous() for part in attend(q, k, v, Shape(0.25)))
    before = out.clone()
    merge(out, lse, blind, none)
    torch.testing.assert_close(out[:, :, 1], before[:, :, 1])
    assert not out.isnan().any()


def test_squashed_scores_and_values_of_another_size():
    q, k, _ = tensors(4, 6)
    v = torch.randn(1, 2, 6, 5, generator=torch.Generator().manual_seed(3))
    scores = (q @ k.repeat_interleave(3, dim=1).transpose(-1, -2)) * 0.5
    expected = (3 * torch.tanh(scores / 3)).softmax(-1) @ v.repeat_interleave(3, dim=1)
    torch.testing.assert_close(attend(q, k, v, Shape(0.5, softcap=3.0))[0], expected)


def test_a_sink_takes_its_share():
    q, k, v = tensors(4, 6)
    sinks = torch.tensor([0.5, -1.0, 2.0, 0.0, 1.0, -3.0])
    scores = (q @ k.repeat_interleave(3, dim=1).transpose(-1, -2)) * 0.25
    with_sink = torch.cat([scores, sinks[None, :, None, None].expand(1, 6, 4, 1)], dim=-1).softmax(-1)[..., :-1]
    out, lse = (part.contiguous() for part in attend(q, k, v, Shape(0.25)))
    sink(out, lse, sinks)
    torch.testing.assert_close(out, with_sink @ v.repeat_interleave(3, dim=1))
