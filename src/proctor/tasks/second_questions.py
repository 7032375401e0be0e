"""Second questions about an answer: whether it is true, whether the model will know, how sure it is, and of which of two items it is surer.

P(True) and P(IK) as Kadavath et al. 2022 ask them, "Language models (mostly) know what they know", here without examples and without a
trained head; a spoken confidence as Lin et al. 2022 and Tian et al. 2023; comparisons as Shrivastava et al. 2025, between the questions
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from proctor.canonical import seeded
from proctor.errors import TaskError
from proctor.scoring.letters import choice_index
from proctor.scoring.stated_confidence import FIRST, SECOND, SURER, VERSION, WORDS
from proctor.scoring.text_signs import strip_thinking
from proctor.tasks.spec import ConfidenceSpec
from proctor.template import Template
from proctor.types import TURN, Generate, Item, Likelihood, Message, Prompt, Request, Response, Step

if TYPE_CHECKING:
    from proctor.tasks.task import Task

YES, NO = "(A)", "(B)"
P_TRUE = """{{ question }}

Proposed answer: {{ answer }}

Is the proposed answer:
(A) True
(B) False"""
P_IK = """{{ question }}

Do not answer yet. Will your answer to this question be right:
(A) Yes
(B) No"""
RELATIVE = """Question 1:
{{ question }}

Question 2:
{{ other }}

Do not answer them. Of which question are you more confident that you can answer it correctly:
(A) Question 1
(B) Question 2"""
VERBAL = {
    "percent": "How sure are you that this answer is right? Write a number from 0 to 100, in percent, and nothing else.",
    "ten": "How sure are you that this answer is right? Write a number from 0 to 10, and nothing else.",
    "words": f"How likely is this answer right? Write one of these, and nothing else: {', '.join(WORDS)}.",
}
_LEADS = {"p_true": "The proposed answer is:", "p_ik": "Answer:", "relative": "Answer:"}
_WRITTEN = "\n\nWrite (A) or (B), and nothing else."


class SecondQuestions:
    """What is asked about every attempt of one task.

    Args:
        task: its specification, items and prompts, ready.

    Raises:
        TaskError: a task of another kind, or with pictures; a template that names what is not there.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._specs = task.spec.confidence
        where = f"{task.where}: confidence"
        kind = task.spec.response.kind
        if kind not in ("choice", "generate"):
            raise TaskError(f"{where}: only answers that are right or wrong have a confidence, not the response kind '{kind}'")
        if task.media:
            raise TaskError(f"{where}: questions with pictures or sounds cannot be asked a second time; leave confidence out")
        self._templates = {one.ask: Template(one.template or _default(one), f"{where}.{one.ask}.template") for one in self._specs}
        for one in self._specs:
            own = {"p_true": {"answer"}, "p_ik": set(), "verbal": {"answer"}, "relative": {"other"}}[one.ask]
            self._templates[one.ask].check({*task.items[0].fields, "question", *own})
        self._ids = sorted(item.id for item in task.items)
        self._by_id = {item.id: item for item in task.items}

    @property
    def protocol(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "version": VERSION,
            "questions": [[one.ask, one.by, one.scale, self._templates[one.ask].source, one.pairs] for one in self._specs],
        }

    def steps(self, item: Item, epoch: int, request: Request, response: Response) -> list[Step]:
        """The questions that have not been asked; about an answer only where one was found."""
        asked = {one.name for one in response.exchanges}
        answer = self._task.scoring.answer(item, request, response)
        steps = [
            step
            for one in self._specs
            if answer is not None or one.ask in ("p_ik", "relative")
            for step in self._asked(one, item, epoch, request, response, answer or "")
        ]
        return [step for step in steps if step.name not in asked]

    def _asked(self, spec: ConfidenceSpec, item: Item, epoch: int, request: Request, response: Response, answer: str) -> list[Step]:
        question = self._task.prompter.question(item)
        if spec.ask == "verbal":
            text = self._show(spec, item, question=question, answer=self._named(item, answer))
            return [Step("verbal", self._spoken(spec, request, response, item, answer, text))]
        if spec.ask == "relative":
            steps = []
            for other in self._opponents(spec, item, epoch):
                its = self._task.prompter.question(self._by_id[other])
                for place, first, second in ((FIRST, question, its), (SECOND, its, question)):
                    text = self._show(spec, item, question=first, other=second)
                    steps.append(Step(f"{SURER}{other}{place}", self._two(spec, text)))
            return steps
        named = {"answer": self._named(item, answer)} if spec.ask == "p_true" else {}
        return [Step(spec.ask, self._two(spec, self._show(spec, item, question=question, **named)))]

    def _show(self, spec: ConfidenceSpec, item: Item, **values: str) -> str:
        return self._templates[spec.ask].render({**item.fields, **values})

    def _opponents(self, spec: ConfidenceSpec, item: Item, epoch: int) -> list[str]:
        """Other items, by a draw that depends on the task's items and this one alone."""
        others = [name for name in self._ids if name != item.id]
        rng = Random(seeded("confidence", self._task.spec.seed_name, item.id, epoch))
        return rng.sample(others, min(spec.pairs, len(others)))

    def _named(self, item: Item, answer: str) -> str:
        """The answer as a reader would know it: of a choice its line among the options, or its text."""
        if self._task.spec.response.kind != "choice":
            return answer
        place = choice_index(answer, len(item.choices))
        if place is None:
            return answer
        if self._task.spec.response.by == "text":
            return item.choices[place]
        prompter = self._task.prompter
        return prompter.option.render({"letter": prompter.letters[place], "choice": item.choices[place]})

    def _two(self, spec: ConfidenceSpec, text: str) -> Request:
        """A question with two answers, by likelihood or written."""
        prompt = self._task.spec.prompt
        if spec.by == "generate":
            return Generate(Prompt((Message("user", text + _WRITTEN),), style=prompt.style, separator=prompt.separator), spec.max_tokens)
        asked = Prompt((Message("user", text),), _LEADS[spec.ask], prompt.style, "\n", prompt.separator)
        return Likelihood((asked,), (YES, NO))

    def _spoken(self, spec: ConfidenceSpec, request: Request, response: Response, item: Item, answer: str, text: str) -> Request:
        """The conversation so far, the answer, and the question how sure the model is of it."""
        turns = [one for one in response.exchanges if one.name.startswith(TURN)]
        last = turns[-1].request if turns else request
        prompt = last.prompts[0] if isinstance(last, Likelihood) else last.prompt if isinstance(last, Generate) else Prompt()
        if isinstance(last, Likelihood):
            place = choice_index(answer, len(item.choices)) or 0
            said = last.continuations[place]
        else:
            said = (strip_thinking(response.turns[-1].text or "") or answer).strip()
        before = f"{prompt.prefill}{prompt.delimiter}" if prompt.prefill else ""
        messages = (*prompt.messages, Message("assistant", before + said), Message("user", text))
        return Generate(Prompt(messages, "", prompt.style, prompt.delimiter, prompt.separator), spec.max_tokens)


def _default(spec: ConfidenceSpec) -> str:
    return {"p_true": P_TRUE, "p_ik": P_IK, "relative": RELATIVE}.get(spec.ask) or VERBAL[spec.scale]


def written(specs: Sequence[ConfidenceSpec], kinds: frozenset[Any]) -> list[ConfidenceSpec]:
    """The questions for a model of these kinds of request: without likelihoods it writes its answer."""
    from msgspec.structs import replace

    return [replace(one, by="generate") if "likelihood" not in kinds else one for one in specs]
