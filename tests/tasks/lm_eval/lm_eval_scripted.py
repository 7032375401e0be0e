"""The model of the recording as one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import lm_eval_cases as cases

from proctor.models.base import Ask, Model, plain_text
from proctor.types import Generate, Likelihood, Prompt, Response


def rendered(prompt: Prompt) -> str:
    """The prompt as the scripted model's text: through its chat template, unless the prompt wants running text."""
    if prompt.style == "plain" or not prompt.messages:
        return plain_text(prompt)[0]
    messages = [{"role": one.role, "content": one.content} for one in prompt.messages]
    return cases.chat_text(messages, opened=False) + prompt.prefill


def arguments(request: Generate | Likelihood) -> list[list[str]]:
    """The pairs of context and continuation that the harness would ask, or the context alone."""
    if isinstance(request, Generate):
        return [[rendered(request.prompt)]]
    return [[rendered(prompt), one] for prompt in request.prompts for one in request.continuations]


class Scripted(Model):
    """Answers as the model of the recording did."""

    uri = "scripted"
    fingerprint = "scripted"
    kinds = frozenset({"generate", "likelihood"})
    by_request = False

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            request = ask.request
            if isinstance(request, Generate):
                yield ask, Response(text=cases.generated(rendered(request.prompt), ask.epoch))
            elif not request.prompts[0].messages and "page" in ask.item.fields:
                yield ask, Response(loglikelihoods=((cases.rolling(request.continuations[0]),),))
            else:
                pairs = [[cases.loglikelihood(rendered(prompt), one) for one in request.continuations] for prompt in request.prompts]
                yield (
                    ask,
                    Response(
                        loglikelihoods=tuple(tuple(one[0] for one in row) for row in pairs),
                        greedy=tuple(tuple(one[1] for one in row) for row in pairs),
                    ),
                )
