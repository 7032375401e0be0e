"""The one protocol every model speaks: a stream of requests in, a stream of responses out, in any order."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from proctor.types import PLACE, Corpus, Item, Media, MediaKind, Message, Prompt, Request, Response, prompts_of

if TYPE_CHECKING:
    from proctor.tasks.task import Task

ALL_MEDIA: frozenset[MediaKind] = frozenset({"image", "audio", "document"})
Kind = Literal["generate", "likelihood", "rank"]
KINDS: frozenset[Kind] = frozenset({"generate", "likelihood", "rank"})


class Ask(Struct, frozen=True):
    """One request on its way to a model.

    Models answer `request`; `task`, `item`, `epoch` and `targets` are for what stands in for a model: predictions made
    elsewhere, and baselines.

    Attributes:
        index: position in the run's plan; unique within the run.
        task: name of the task.
        item: the item asked about.
        epoch: 0 for the first time the item is asked.
        request: what is asked.
        pool: the items that could serve as examples for the task (baselines guess from their targets).
        step: which of the attempt's further requests this is (see `proctor.types.Step`); empty for its first.
        corpus: the documents that a `Rank` is about, the same object throughout a task; None for other requests.
    """

    index: int
    task: str
    item: Item
    epoch: int
    request: Request
    pool: tuple[Item, ...] = ()
    step: str = ""
    corpus: Corpus | None = None


class Preview(Struct, frozen=True):
    """What a model will see for one request.

    Attributes:
        texts: the rendered texts, one per prompt of the request.
        tokens: the same as token texts, where the model has a tokenizer here; else None.
        note: how it was rendered ("chat template of the model", "sent as chat messages", …).
    """

    texts: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...] | None
    note: str


class Model(abc.ABC):
    """Something that answers requests.

    Opening one is cheap: weights are loaded and connections made at the first answer or preview, so that a run whose answers
    are all kept needs neither.

    Attributes:
        uri: the model as the user named it, without secrets.
        fingerprint: changes whenever the answers might: weights, file contents, endpoint, settings. Kept answers are looked up by it.
        kinds: which kinds of request it answers.
        by_request: whether an answer depends on nothing but the request, so that it serves wherever the same is asked; not so for what
            stands in for a model and looks at items or targets.
        media: kinds of objects it can be shown beside text.
        free: whether asking costs nothing, as of weights that run here.
        no_likelihood: why it gives no log-likelihoods, in a clause, where there is more to say than that; known once `kinds` is.
    """

    uri: str
    fingerprint: str
    kinds: frozenset[Kind]
    no_likelihood: str | None = None
    by_request: bool = True
    media: frozenset[MediaKind] = frozenset()
    free: bool = False

    def begin(self, tasks: Sequence[Task]) -> None:  # noqa: B027 - most models need not know
        """Told of all tasks of a run before its first request, for what learns from them."""

    @abc.abstractmethod
    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        """Answer every ask exactly once, in any order, reading `asks` no further ahead than is useful.

        A request that cannot be answered yields a `Response` with `finish="error"`; an exception means that nothing further can be
        answered (`ModelError` with a message for the user).
        """

    def preview(self, request: Request) -> Preview:
        """What the model will see for `request`."""
        return Preview(tuple(plain_text(described(p))[0] for p in prompts_of(request)), None, "as running text")

    def refuses(self, media: Media) -> str | None:
        """Why the model cannot be shown this object of a kind it takes (its type, its size), in a clause; None where it can."""
        return None

    def count_tokens(self, text: str) -> int | None:
        """Tokens in `text`, exactly; None where the model's tokenizer is not at hand."""
        return None

    def cost(self, input_tokens: int, output_tokens: int) -> float | None:
        """US dollars that so many tokens cost; None where no price is known."""
        return None

    @property
    def under_way(self) -> int:
        """Requests that have been sent and will have to be paid for."""
        return 0

    @property
    def left_behind(self) -> str | None:
        """What goes on without us after a stop and will be fetched when the run is continued, as a sentence; None where nothing does."""
        return None

    def finish_started(self, seconds: float) -> bool:
        """Begin nothing further: `answer` gives what is under way, for at most so many seconds, and ends; the rest stays unanswered.

        May be called from another thread or a signal handler. False where `answer` does not end by itself then.
        """
        return False

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: parameters, dtype, device, context length, hash of the chat template, … Called after a run."""
        return {}

    def close(self) -> None:
        """Let go of weights and connections."""
        return


def described(prompt: Prompt) -> Prompt:
    """The prompt for a person to read: in the place of each picture, sound or document what it is."""
    return msgspec.structs.replace(prompt, messages=tuple(Message(one.role, described_text(one)) for one in prompt.messages))


def described_text(message: Message) -> str:
    """What a message says, with what each of its objects is in its place."""
    text = message.content
    for media in message.media:
        text = text.replace(PLACE, str(media), 1)
    return text


def plain_text(prompt: Prompt) -> tuple[str, str]:
    """A prompt as one running text, and the delimiter that stands between it and the answer.

    System text, then each exchange as question + delimiter + answer, joined by the separator; then the prefill. The delimiter
    after the text is empty where the text is empty or already ends in white space.

    Returns:
        (text, delimiter before a continuation)
    """
    text = ""
    previous = ""
    for message in prompt.messages:
        if message.role == "assistant" and previous == "user":
            text += _glue(text, prompt.delimiter) + message.content
        else:
            text += (prompt.separator if text else "") + message.content
        previous = message.role
    if prompt.prefill:
        text += _glue(text, prompt.delimiter) + prompt.prefill
    return text, _glue(text, prompt.delimiter)


def _glue(text: str, delimiter: str) -> str:
    return "" if not text or text[-1].isspace() else delimiter
