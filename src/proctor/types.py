"""The words of the house, as types: Item, Prompt, Request, Response, Score.

Plain frozen structs, so that they hash, compare, and go to JSON and back unchanged. Each room imports from here;
nothing here knows any room.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct, field

from proctor.errors import DataError

Role = Literal["system", "user", "assistant"]
State = Literal["scored", "unparsed", "truncated", "refused", "failed"]
STATES: tuple[State, ...] = ("scored", "unparsed", "truncated", "refused", "failed")
TURN = "turn "  # what the names of a conversation's further turns begin with; the first has no name


class Item(Struct, frozen=True):
    """One question of a task.

    Attributes:
        id: unique within the task; never depends on the order of the data.
        fields: the row's columns, which the prompt template sees.
        choices: the texts to choose from; empty where the answer is free.
        target: what counts as right: the index of a choice (or a list of indices, any of which is right); a text or a list of
            accepted texts; a number; or whatever JSON value the task's scorer reads (tests of a program, constraints).
        group: items that share a passage, template or source have the same group; standard errors are clustered by it.
        metadata: anything else worth keeping beside the results.
    """

    id: str
    fields: dict[str, Any]
    choices: tuple[str, ...] = ()
    target: Any = None
    group: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


MediaKind = Literal["image", "audio", "document"]
PLACE = "\ufffc"  # stands in a message's text where one of its objects is shown


class Media(Struct, frozen=True, dict=True):
    """A picture, sound or document of a message, by what it is; where its bytes are is no part of it, nor of its JSON and its hash.

    Attributes:
        kind: what a model must take to be shown it.
        type: media type, read off the bytes: `image/png`.
        sha256: of the bytes, hexadecimal.
        size: bytes.
    """

    kind: MediaKind
    type: str
    sha256: str
    size: int

    def found_by(self, read: Callable[[], bytes]) -> Media:
        """The same; `read` gives the bytes."""
        self.__dict__["read"] = read
        return self

    def data(self) -> bytes:
        """The bytes. Raises `DataError` where they are not at hand, or have changed since they were first looked at."""
        read = self.__dict__.get("read")
        try:
            found: bytes | None = read() if read is not None else None
        except OSError as error:
            raise DataError(f"{self}: cannot be read any more: {error.strerror or error}") from None
        if found is None:
            raise DataError(f"{self}: its bytes are not at hand: a request read from a file holds only their hash")
        if hashlib.sha256(found).hexdigest() != self.sha256:
            raise DataError(f"{self}: its file has changed since the task was loaded; run the same command again")
        return found

    def __str__(self) -> str:
        return f"[{self.type}, {self.size:,} bytes, sha256 {self.sha256[:12]}]"


class Message(Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation.

    Attributes:
        role: whose turn it is.
        content: what is said. Where `media` is not empty, each `PLACE` in it is where the next object is shown.
        media: pictures, sounds and documents, in the order of their places.
    """

    role: Role
    content: str
    media: tuple[Media, ...] = ()

    def parts(self) -> list[str | Media]:
        """Texts and objects in order; blank texts between objects are left out."""
        if not self.media:
            return [self.content]
        texts = self.content.split(PLACE)
        found: list[str | Media] = [texts[0]]
        for media, text in zip(self.media, texts[1:], strict=True):
            found += [media, text]
        return [part for part in found if isinstance(part, Media) or part.strip()]


class Prompt(Struct, frozen=True, omit_defaults=True):
    """What a model is shown, before its own rendering.

    Attributes:
        messages: the conversation, ending with a user turn; empty for the empty context.
        prefill: the beginning of the model's answer, which it continues.
        style: `auto` renders through the model's chat template where it has one; `plain` always as one running text.
        delimiter: in running text, what stands between a question and its answer.
        separator: in running text, what stands between one exchange and the next.
        scores_bos: of a text without context, whether the BOS token that the tokenizer puts before it is scored, after another one, as
            lm-evaluation-harness does.
    """

    messages: tuple[Message, ...] = ()
    prefill: str = ""
    style: Literal["auto", "plain"] = "auto"
    delimiter: str = " "
    separator: str = "\n\n"
    scores_bos: bool = False


class Generate(Struct, frozen=True, tag_field="kind", tag="generate", omit_defaults=True):
    """Ask for a text.

    Attributes:
        prompt: what is shown.
        max_tokens: at most this many new tokens.
        stop: texts at whose first occurrence the answer ends; they are not part of it.
        temperature: 0 is greedy decoding.
        top_p: nucleus sampling; 1 is off.
        seed: of the sampling; every epoch has its own. None where nothing is sampled.
    """

    prompt: Prompt
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


class Likelihood(Struct, frozen=True, tag_field="kind", tag="likelihood", omit_defaults=True):
    """Ask for the log-likelihood of every continuation after every prompt.

    Attributes:
        prompts: the contexts; the first is the question, a second (where there is one) the context for unconditional
            normalisation. One empty prompt and one continuation is rolling likelihood: the text is scored from its first token,
            in windows where it is longer than the model's context.
        continuations: the texts scored, without the delimiter that precedes them.
    """

    prompts: tuple[Prompt, ...]
    continuations: tuple[str, ...]


class Rank(Struct, frozen=True, tag_field="kind", tag="rank", omit_defaults=True):
    """Ask which documents answer a query, best first. The documents themselves travel beside the request, as `Ask.corpus`.

    Attributes:
        query: the query, without the instruction.
        corpus: content hash of the documents (`Corpus.hash`).
        instruction: what the user wants of the documents beside the query; empty where there is none.
        delimiter: where a model takes one text, what stands between instruction and query.
        candidates: ids of the documents to put into order; empty for all of the corpus.
        top_k: at most so many documents come back.
    """

    query: str
    corpus: str
    instruction: str = ""
    delimiter: str = " "
    candidates: tuple[str, ...] = ()
    top_k: int = 100

    @property
    def text(self) -> str:
        """Instruction and query as one text, for models that take one."""
        return f"{self.instruction}{self.delimiter}{self.query}" if self.instruction else self.query


Request = Generate | Likelihood | Rank


def prompts_of(request: Request) -> tuple[Prompt, ...]:
    """What a person would call the prompts of a request; of a `Rank`, its text."""
    if isinstance(request, Generate):
        return (request.prompt,)
    if isinstance(request, Likelihood):
        return request.prompts
    return (Prompt((Message("user", request.text),)),)


class Corpus(Struct, frozen=True):
    """The documents that queries are asked about.

    Attributes:
        hash: of ids and texts; names the corpus wherever it is asked about.
        ids: the documents' names, without repetition.
        texts: what each says, title first where it has one; as many as ids.
    """

    hash: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]


class Ranked(Struct, frozen=True):
    """A document's place in a ranking: its id, and the score it was placed by (higher is better)."""

    id: str
    score: float


class Response(Struct, frozen=True, omit_defaults=True):
    """What came back for one attempt.

    Attributes:
        text: the generated text (of `Generate`), thinking included, stop text excluded.
        loglikelihoods: of `Likelihood`; prompts × continuations, natural logarithm, summed over tokens.
        greedy: same shape; whether every token of the continuation was the model's most likely one.
        token_counts: tokens of each continuation after the first prompt.
        finish: `stop` (ended by itself or at a stop text), `length` (hit the token limit), `refused` (the provider's filter or a
            refusal it reports), `error` (no answer; `error` says why).
        error: why there is no answer, in one line.
        input_tokens, output_tokens, cached_tokens, reasoning_tokens: as the model counts them; None where unknown.
        cost: US dollars; None where unknown.
        started_at: Unix time at which the request was first sent, seconds.
        latency: seconds from the last sending to the complete answer.
        retries: how many sendings failed before this one.
        served_by: the model name the server reported.
        cut_tokens: tokens of the prompt that were left out because it did not fit the model's context; None where none were, or unknown.
        first_token: seconds from the last sending to the first token of the answer; None where it was not streamed.
        retry_reasons: why the sendings before this one failed (`HTTP 429; no complete answer`); None where none did.
        hedged: whether the request was slow and sent a second time before there was an answer.
        ranking: of `Rank`; the documents found, best first.
        exchanges: what was asked further in the same attempt, in order: later turns, second questions, judges. Everything above is of the
            attempt's first request.
    """

    text: str | None = None
    loglikelihoods: tuple[tuple[float, ...], ...] | None = None
    greedy: tuple[tuple[bool, ...], ...] | None = None
    token_counts: tuple[int, ...] | None = None
    finish: Literal["stop", "length", "refused", "error"] = "stop"
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    started_at: float = 0.0
    latency: float = 0.0
    retries: int = 0
    served_by: str | None = None
    cut_tokens: int | None = None
    first_token: float | None = None
    retry_reasons: str | None = None
    hedged: bool = False
    ranking: tuple[Ranked, ...] | None = None
    exchanges: tuple[Exchange, ...] = ()

    @property
    def turns(self) -> tuple[Response, ...]:
        """The model's answers to the turns of the conversation, the first one first."""
        return (self, *(one.response for one in self.exchanges if one.name.startswith(TURN)))


class Exchange(Struct, frozen=True, omit_defaults=True):
    """A further request of an attempt, and what came back.

    Attributes:
        name: unique within the attempt: `turn 2`; or as the judge or second question is called.
        request: what was asked.
        response: the answer; it has no exchanges of its own.
        by: URI of the judge that answered; empty where it was the model itself.
        fingerprint: of the judge.
    """

    name: str
    request: Request
    response: Response
    by: str = ""
    fingerprint: str = ""


class Step(Struct, frozen=True):
    """A request that an attempt makes after its first one.

    Attributes:
        name: see `Exchange`.
        request: what is asked.
        by: URI of the judge that is asked; empty for the model itself.
    """

    name: str
    request: Request
    by: str = ""


class Score(Struct, frozen=True):
    """Named numbers for one response.

    Attributes:
        state: exactly one of `STATES`.
        values: metric name to number. Empty for a failed attempt of a metric that has no worst value.
        answer: what was extracted from the response, as text; None where nothing was.
        reason: why it scored so, in a few words a person can check.
        raw: values that are no numbers of their own, for metrics over all attempts; they are not kept.
    """

    state: State
    values: dict[str, float]
    answer: str | None = None
    reason: str = ""
    raw: dict[str, Any] = field(default_factory=dict)
