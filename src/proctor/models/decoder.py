"""From packed tokens to logits, with attention of our own: a model of `transformers` behind its attention interface.

Every architecture that calls its attention through the interface of `transformers` can be told whom each token sees; positions are
given as `position_ids`. Whatever mixes tokens elsewhere (recurrent states, convolutions, ALiBi) does not fit: it shows in the number of
calls, in arguments that are not known here, or in a probe that compares (`likelihood.py`).
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from proctor.models.attention import Shape

if TYPE_CHECKING:
    import torch

NAME = "proctor_packed"
"""Our attention, as `transformers` knows it."""

ROWS = 128
"""Positions whose logits are held at a time."""

UNFIT = (RuntimeError, ValueError, TypeError, AttributeError, IndexError, KeyError, NotImplementedError)
"""What an architecture raises that cannot take given positions or attention."""

SQUASHING = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier_scale")
"""Settings under which logits are not just the output matrix times the last state."""

HARMLESS = {"dropout", "is_causal", "position_ids", "cache_position", "use_cache", "output_attentions", "output_hidden_states", "layer_idx"}
"""What attention is told besides and need not know here."""


class Packed(Protocol):
    """What says whom the tokens of a forward pass see: `pack.Pack`, or the step of `generation.py`."""

    def attend(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, shape: Shape) -> torch.Tensor:
        """See `pack.Pack.attend`."""
        ...


class _Current(threading.local):
    """The pack that is being computed in this thread, and how many layers have asked for it."""

    pack: Packed | None = None
    layer: int = 0


_current = _Current()


class _Mask:
    """Stands where an attention mask would: what the architecture wants seen, which the pack knows."""

    def __init__(self, window: int | None) -> None:
        self.window = window


def _mask(*_: Any, local_size: int | None = None, **__: Any) -> _Mask:
    return _Mask(local_size)


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any, scaling: float | None = None, **more: Any
) -> tuple[torch.Tensor, None]:
    pack = _current.pack
    if pack is None:
        raise RuntimeError("attention outside a pack")
    window, softcap, sinks = more.pop("sliding_window", None), more.pop("softcap", None), more.pop("s_aux", None)
    strange = sorted(name for name, value in more.items() if value is not None and name not in HARMLESS)
    if strange or not (attention_mask is None or isinstance(attention_mask, _Mask)) or getattr(module, "is_causal", True) is False:
        raise NotImplementedError(f"attention of another kind ({', '.join(strange) or 'its own mask'})")
    if isinstance(attention_mask, _Mask):
        window = attention_mask.window
    shape = Shape(query.shape[-1] ** -0.5 if scaling is None else float(scaling), window, softcap, sinks)
    layer, _current.layer = _current.layer, _current.layer + 1
    return pack.attend(layer, query, key, value, shape), None


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


class Head:
    """Logits at chosen positions.

    The head is by far the largest matrix of a small model, so it sees only the rows that are asked for.

    Args:
        model: a `transformers` model with a language-model head.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.selects = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.body, self.matrix = self._find()

    def _find(self) -> tuple[Any, Any]:
        """The decoder and the output matrix, where applying one after the other is what the model does; else (None, None).

        Some models scale or squash their logits, or put something between the two.
        """
        import torch

        if any(getattr(self.model.config.get_text_config(decoder=True), name, None) for name in SQUASHING):
            return None, None
        tokens = torch.arange(1, 9, device=self.model.device)[None]
        try:
            body, matrix = self.model.get_decoder(), self.model.get_output_embeddings()
            with torch.inference_mode():
                logits = self.model(input_ids=tokens, use_cache=False).logits
                same = torch.allclose(matrix(body(input_ids=tokens, use_cache=False).last_hidden_state), logits, rtol=1e-5, atol=1e-6)
        except UNFIT:
            return None, None
        return (body, matrix) if same else (None, None)

    def logits(self, tokens: torch.Tensor, slots: Sequence[int], **arguments: Any) -> Iterator[torch.Tensor]:
        """Logits after the tokens at `slots`, in order, float32, at most `ROWS` rows at a time.

        Args:
            tokens: shape (1, tokens).
            slots: indices of tokens, ascending.
            arguments: of the forward pass.
        """
        import torch

        chosen = torch.tensor(slots, device=tokens.device, dtype=torch.long)
        if self.matrix is not None:
            yield from self.of_states(self.body(input_ids=tokens, **arguments).last_hidden_state[0], slots)
        elif self.selects:
            found = self.model(input_ids=tokens, logits_to_keep=chosen if slots else 1, **arguments).logits[0]
            for low in range(0, len(slots), ROWS):
                yield found[low : low + ROWS].float()
        else:
            found = self.model(input_ids=tokens, **arguments).logits[0]
            for low in range(0, len(slots), ROWS):
                yield found[chosen[low : low + ROWS]].float()

    def of_states(self, states: torch.Tensor, slots: Sequence[int]) -> Iterator[torch.Tensor]:
        """The same from the last states, shape (tokens, width), where the head is a matrix."""
        import torch

        for low in range(0, len(slots), ROWS):
            part = torch.tensor(slots[low : low + ROWS], device=states.device, dtype=torch.long)
            yield self.matrix(states[part]).float()


class Decoder:
    """Runs packs through any architecture that uses the attention interface.

    Args:
        model: a `transformers` decoder-only model with a language-model head, in evaluation mode.
        head: of the model.
    """

    def __init__(self, model: Any, head: Head) -> None:
        _register()
        self.model = model
        self.head = head
        config = model.config.get_text_config(decoder=True)
        self.layers = int(config.num_hidden_layers)
        self.longest = _same_up_to(config)
        layers = set(getattr(config, "layer_types", None) or ())
        self.fits = layers <= {"full_attention", "sliding_attention"}
        self._own: Any = None

    def logits(self, pack: Packed, tokens: Sequence[int], positions: Sequence[int], slots: Sequence[int]) -> Iterator[torch.Tensor]:
        """Compute a pack; logits as `Head.logits` gives them. Raises one of `UNFIT` where the architecture cannot.

        The pack is computed whole even where no logits are asked for.
        """
        import torch

        ids = torch.tensor([tokens], device=self.model.device)
        position_ids = torch.tensor([positions], device=self.model.device)
        with ours(self.model):
            _current.pack, _current.layer = pack, 0
            try:
                if self.head.matrix is None:
                    found = list(self.head.logits(ids, slots, position_ids=position_ids, use_cache=False))
                else:
                    states = self.head.body(input_ids=ids, position_ids=position_ids, use_cache=False).last_hidden_state[0]
            finally:
                seen, _current.pack = _current.layer, None
        if seen != self.layers:
            raise NotImplementedError(f"{seen} of {self.layers} layers attend by the interface")
        yield from found if self.head.matrix is None else self.head.of_states(states, slots)


class ours:  # noqa: N801
    """While this lasts, a model's attention is ours; otherwise it is as it was loaded."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.configs = [model.config, model.config.get_text_config(decoder=True)]

    def __enter__(self) -> None:
        self.before = [config._attn_implementation for config in self.configs]
        for config in self.configs:
            config._attn_implementation = NAME

    def __exit__(self, *_: object) -> None:
        for config, before in zip(self.configs, self.before, strict=True):
            config._attn_implementation = before


def _same_up_to(config: Any) -> int | None:
    """The length up to which a token's rotation does not depend on how long its sequence is; None where it never does.

    Under the rope types `dynamic` and `longrope` it does, beyond the length first trained on: such sequences go the plain way.
    """
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    lengths = [
        int(
            kind.get("original_max_position_embeddings")
            or getattr(config, "original_max_position_embeddings", None)
            or config.max_position_embeddings
        )
        for kind in kinds
        if kind.get("rope_type", kind.get("type")) in ("dynamic", "longrope")
    ]
    # Only a pass shorter than that brings the rotations back from an earlier, longer one.
    return min(lengths) - 1 if lengths else None
