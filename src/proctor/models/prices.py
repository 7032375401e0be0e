"""What an answer cost in US dollars, where the prices are known (the optional package `genai-prices`)."""

from __future__ import annotations

import functools
from typing import Any

from proctor.types import Response

BATCH_SHARE = 0.5  # what OpenAI and Anthropic take of their list price for requests that come in batches


def price(model: str, provider: str | None, response: Response, share: float = 1.0) -> float | None:
    """The cost of `response` in US dollars, by the list prices of `genai-prices` on the day it was asked.

    Args:
        model: the model's name as the provider spells it.
        provider: `openai`, `anthropic`, … or the base URL of the API; None means no known price.
        response: with its token counts; `input_tokens` includes cached ones, `output_tokens` includes reasoning.
        share: of the list price that is paid.

    Returns:
        The cost; None where the package is absent, the model unknown, or the tokens not counted. Never raises.
    """
    if provider is None or response.input_tokens is None or response.output_tokens is None:
        return None
    if not _known(model, provider):
        return None
    try:
        return share * _price(model, provider, response.input_tokens, response.output_tokens, response.cached_tokens or 0)
    except Exception:  # noqa: BLE001 - a missing price must not cost an answer
        return None


@functools.cache
def _known(model: str, provider: str) -> bool:
    try:
        _price(model, provider, 1, 1, 0)
    except Exception:  # noqa: BLE001 - ImportError, LookupError, or whatever a future version raises
        return False
    return True


def _price(model: str, provider: str, given: int, generated: int, cached: int) -> float:
    import genai_prices

    where: dict[str, Any] = {"provider_api_url": provider} if "://" in provider else {"provider_id": provider}
    usage = genai_prices.Usage(input_tokens=given, output_tokens=generated, **({"cache_read_tokens": cached} if cached else {}))
    return float(genai_prices.calc_price(usage, model_ref=model, **where).total_price)
