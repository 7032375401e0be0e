import sys

import pytest

from proctor.models import prices
from proctor.types import Response

USED = Response(text="", input_tokens=1_000_000, output_tokens=100_000, cached_tokens=0)


def test_published_prices():
    pytest.importorskip("genai_prices")
    # Anthropic's price list for Claude Sonnet 4.5 at 1,000 tokens in: $3 and $15 per million tokens.
    small = Response(text="", input_tokens=1000, output_tokens=1000)
    assert prices.price("claude-sonnet-4-5", "anthropic", small) == pytest.approx(0.018)
    # OpenAI's for gpt-4o: $2.50 and $10.
    assert prices.price("gpt-4o", "openai", USED) == pytest.approx(3.5)
    assert prices.price("gpt-4o", "https://api.openai.com/v1", USED) == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("model", "provider", "response"),
    [
        ("no-such-model", "openai", USED),
        ("gpt-4o", None, USED),
        ("gpt-4o", "http://localhost:8000/v1", USED),
        ("gpt-4o", "openai", Response(text="")),
    ],
)
def test_an_unknown_price_is_none(model, provider, response):
    assert prices.price(model, provider, response) is None


def test_without_the_package_nothing_has_a_price(monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    prices._known.cache_clear()
    assert prices.price("gpt-4o", "openai", USED) is None
    prices._known.cache_clear()
