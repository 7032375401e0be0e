"""The forward pass of Llama and its like, with fewer operations than the modules of `transformers`.

Residuals are added inside the products that precede them; norms, rotations and the gate work in place. Used where the architecture is
one of these and a probe finds the same logits (`likelihood.py`); `decoder.py` does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from proctor.models.attention import Shape
from proctor.models.decoder import Head, Packed

if TYPE_CHECKING:
    import torch

FITS = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def llama_decoder(model: Any, head: Head) -> LlamaDecoder | None:
    """The decoder of a model, or None where its architecture, head or weights are of another kind."""
    import torch

    if type(model).__name__ not in FITS or head.matrix is None or model.config.hidden_act not in ("silu", "swish"):
        return None
    parts = [module for layer in model.model.layers for module in (*layer.self_attn.children(), *layer.mlp.children())]
    if any(type(module) is not torch.nn.Linear for module in parts if "Linear" in type(module).__name__):
        return None
    if (getattr(model.config, "rope_parameters", None) or {}).get("rope_type", "default") in ("dynamic", "longrope"):
        return None
    return LlamaDecoder(model, head)


class LlamaDecoder:
    """Runs packs; see `decoder.Decoder`, whose face this has."""

    longest: int | None = None
    fits = True

    def __init__(self, model: Any, head: Head) -> None:
        self.head = head
        self.model = model
        # Mistral's window stands in the configuration; Qwen's, layer by layer, in the attention module.
        window = model.config.sliding_window if type(model).__name__ == "MistralForCausalLM" else None
        attentions = [layer.self_attn for layer in model.model.layers]
        self.shapes = [Shape(float(a.scaling), getattr(a, "sliding_window", window)) for a in attentions]

    def logits(self, pack: Packed, tokens: Sequence[int], positions: Sequence[int], slots: Sequence[int]) -> Iterator[torch.Tensor]:
        """Compute a pack; logits as `Head.logits` gives them."""
        import torch

        ids = torch.tensor(tokens, device=self.model.device)
        yield from self.head.of_states(self._states(pack, ids, torch.tensor(positions, device=self.model.device)), slots)

    def _states(self, pack: Packed, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        from torch.nn.functional import silu

        body = self.model.model
        x = body.embed_tokens(ids)
        cos, sin = (part[0, :, None, : part.shape[-1] // 2] for part in body.rotary_emb(x[None], positions[None]))
        for number, layer in enumerate(body.layers):
            attention, mlp = layer.self_attn, layer.mlp
            h = _norm(x, layer.input_layernorm)
            q, k, v = (p(h).view(len(ids), -1, attention.head_dim) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
            if hasattr(attention, "q_norm"):
                q, k = _norm(q, attention.q_norm), _norm(k, attention.k_norm)
            _rotate(q, cos, sin)
            _rotate(k, cos, sin)
            seen = pack.attend(number, q.transpose(0, 1)[None], k.transpose(0, 1)[None], v.transpose(0, 1)[None], self.shapes[number])
            x = _added(x, seen.reshape(len(ids), -1), attention.o_proj)
            h = _norm(x, layer.post_attention_layernorm)
            x = _added(x, silu(mlp.gate_proj(h), inplace=True).mul_(mlp.up_proj(h)), mlp.down_proj)
        return _norm(x, body.norm)


def _norm(x: torch.Tensor, norm: Any) -> torch.Tensor:
    """Root-mean-square norm; in float32 by fewer passes than the module's, which low precision needs for its own rounding."""
    import torch

    if x.dtype != torch.float32:
        return norm(x)
    scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(norm.variance_epsilon).rsqrt_()
    return (x * scale).mul_(norm.weight)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Turn each pair of a head's first and second half, in place: `x` of shape (tokens, heads, dim), the angles' (tokens, 1, dim / 2)."""
    first, second = x.chunk(2, dim=-1)
    crossed = first * sin
    first.mul_(cos).sub_(second * sin)
    second.mul_(cos).add_(crossed)


def _added(x: torch.Tensor, y: torch.Tensor, projection: Any) -> torch.Tensor:
    """`x` plus the projection of `y`."""
    import torch

    found = torch.addmm(x, y, projection.weight.t())
    return found if projection.bias is None else found.add_(projection.bias)
