"""The YAML format of a task and of a suite, as types. `docs/reference/task-format.md` explains every key.

Every struct forbids unknown keys; `tasks/yaml_file.py` turns a violation into one message with file, line, key and nearest valid name.
Shorthands (`prompt: "text"` for `prompt: {template: "text"}`) are expanded there before these types see the data.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class _Spec(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    pass


class DataSpec(_Spec, frozen=True):
    """Where the rows come from: exactly one of `files`, `hub`, `package`, `gym`, `python`, `items`.

    Attributes:
        files: path or glob (or a list of them) relative to the task file: .jsonl .json .csv .tsv .parquet .arrow, each also .gz or .zst.
        hub: data set on the Hugging Face hub, `org/name`.
        config: its configuration; default: the only one, or `default`.
        split: split of the hub data set that is tested.
        revision: commit, tag or branch of the hub data set; pin it.
        package: installed Python package whose `file` (path inside the package) is read.
        file: see `package`; of a hub data set a path or glob inside the repository, instead of `config` and `split`.
        gym: name of a `reasoning-gym` data set, generated from `seed` with `size` items and `args`.
        python: `module:function`, called with `args`; yields one mapping per item.
        items: the rows themselves.
        shots: where few-shot examples come from, when not from the items themselves: a path or glob (`files`), or the name of a
            split (`hub`).
        columns: names of the columns of delimited `files` whose first line is a row already.
        delimiter: what stands between the values of `.csv` files, where it is no comma.
        where: only rows whose columns hold these values (or one of a list of them), or for which a template says `True`; examples
            included.
        corpus: the documents that the rows, as queries, are asked about: a path or glob (or a list of them), the documents themselves, or,
            with `hub`, a configuration (`name` or `name/split`).
        qrels: which document answers which query, and how well: a path, the judgements themselves, or, with `hub`, a configuration.
            Rows without one are left out; the others get a column `target`, from document to grade.
        media: a folder or .zip archive that the paths of pictures, sound and documents in the rows start from; with `hub`, one of the
            data set.
        seed, size, args: see `gym` and `python`.
    """

    files: str | list[str] | None = None
    hub: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    package: str | None = None
    file: str | None = None
    gym: str | None = None
    python: str | None = None
    items: list[dict[str, Any]] | None = None
    shots: str | list[str] | None = None
    columns: list[str] | None = None
    delimiter: str | None = None
    where: dict[str, Any] | str = field(default_factory=dict)
    corpus: str | list[Any] | None = None
    qrels: str | list[Any] | None = None
    media: str | None = None
    seed: int | None = None
    size: int | None = None
    args: dict[str, Any] = field(default_factory=dict)


class ItemSpec(_Spec, frozen=True):
    """How a row becomes an item. A value with `{{` is a template over the row's columns, another names a column.

    Attributes:
        id: default: the column `id` where there is one, else a hash of the row.
        choices: a column that holds a list, or a list of texts and templates.
        target: what counts as right; a mapping of such values for scorers that read several (`{tests: test, entry_point: name}`); None
            where judges need nothing to compare with.
        target_as: how a choice target is written: its `index` (from 0), `number` (from 1), `letter` or `text`; default: found out, and
            an error where two readings differ. Of other kinds `file`: the target is what a file holds (`scoring/masks.py`).
        group: items that belong together (a passage); standard errors are clustered by it.
        metadata: columns kept beside the results.
        dimensions: of these (and kept with them), the columns by whose values a profile breaks the results down.
        candidates: the column that holds the ids of the documents to put into order; default: the whole corpus. Response kind `rank` only.
        documents: columns (or templates) that hold the documents to put into order themselves (texts or lists of them), each with a grade;
            in place of `data.corpus`.
        features: columns that an estimator learns from, as names or patterns (`f*`); default: those that the prompt's template names. Where
            they are given, the item keeps these and what its templates name, and no other column of the row.
        skip_empty: leave out rows whose target is empty, of a table with several targets of which not every row has each.
    """

    id: str | None = None
    choices: str | list[str] | None = None
    target: str | dict[str, str] | None = "target"
    target_as: Literal["index", "number", "letter", "text", "file"] | None = None
    group: str | None = None
    metadata: list[str] = field(default_factory=list)
    dimensions: list[str] = field(default_factory=list)
    candidates: str | None = None
    documents: dict[str, int] = field(default_factory=dict)
    features: list[str] = field(default_factory=list)
    skip_empty: bool = False


class PromptSpec(_Spec, frozen=True):
    """What a model is shown. Templates are Jinja; they see the row's columns, `choices`, `letters` and `options` (the lettered choices).

    Attributes:
        template: the question; of the response kind `rank`, the query.
        instruction: what is wanted of the documents beside the query; response kind `rank` only.
        system: the system turn.
        prefill: the beginning of the answer, which the model continues.
        answer: how the answer of an example reads; default: the target as the response kind would give it.
        style: `auto` (the model's chat template where it has one) or `plain` (always running text).
        delimiter, separator: see `proctor.types.Prompt`.
        shots: number of examples.
        choose: how examples are chosen: `random` (seeded by task and item), `first`, `stratified` (over targets), `fixed` (by `ids`).
        ids: the ids of fixed examples.
        seed: of the choice.
        shots_as: examples as `turns` of the conversation, or as `text` in one turn with the question.
        history: a column that holds earlier turns, a list of `{role, content}`; the question comes after them.
        turns: what the user says after each answer: a list of templates, or a column that holds a list of texts, or `module:function`.
            Templates see `answers` too, the model's answers so far; an empty text ends the conversation.
        letters: what the choices are named by, in place of A, B, C, …; at least as many as there are choices.
        option: a line of `options`; a template that sees `letter` and `choice`.
    """

    template: str
    system: str | None = None
    prefill: str = ""
    answer: str | None = None
    style: Literal["auto", "plain"] = "auto"
    delimiter: str = " "
    separator: str = "\n\n"
    shots: int = 0
    choose: Literal["random", "first", "stratified", "fixed"] = "random"
    ids: list[str] = field(default_factory=list)
    seed: int = 0
    shots_as: Literal["turns", "text"] = "turns"
    history: str | None = None
    turns: str | list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    option: str = "{{ letter }}. {{ choice }}"
    instruction: str | None = None


class ResponseSpec(_Spec, frozen=True):
    """What is asked of the model.

    Attributes:
        kind: `choice` (multiple choice), `generate` (free text), `perplexity` (likelihood of a text, the target) or `rank` (documents of
            `data.corpus`).
        by: a choice is scored by the likelihood of its `letter` or of its whole `text`, or the model `generate`s the letter.
        normalise: what a choice's log-likelihood is divided by (`char`, `byte`, `token`), or `unconditional`: minus that without
            the question.
        continuation: with `by: text`, what is scored after the question, a template that sees `choice`; default: the choice. Where the
            question itself sees `choice`, its likelihood after each choice is compared.
        max_tokens, stop, temperature, top_p: decoding of generated text.
        epochs: how often each item is asked.
        top_k: at most so many documents are ranked.
    """

    kind: Literal["choice", "generate", "perplexity", "rank"] = "generate"
    by: Literal["letter", "text", "generate"] = "letter"
    normalise: Literal["none", "char", "byte", "token", "unconditional"] = "none"
    continuation: str | None = None
    max_tokens: int = 256
    stop: list[str] = field(default_factory=list)
    temperature: float = 0.0
    top_p: float = 1.0
    epochs: int = 1
    top_k: int = 100


class ScoringSpec(_Spec, frozen=True):
    """How a response is scored.

    Attributes:
        extract: ways to find the answer in the text, tried in order: names, or `{name: argument}`.
        metrics: scorer names, or `{name: {options}}`; the first one's first metric is the task's main metric.
        thinking: `strip` removes the model's thinking before extraction; `keep` leaves it.
        judges: URIs of the models that are asked by scorers that judge.
    """

    extract: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    thinking: Literal["strip", "keep"] = "strip"
    judges: list[str] = field(default_factory=list)


class VariantSpec(_Spec, frozen=True):
    """How a variant differs from its task; several changes may be made at once. `proctor.tasks.variants` makes it.

    Attributes:
        name: the variant is the task `TASK@NAME`.
        order: the options in a seeded order of each item (`shuffle`), or backwards (`reverse`).
        rotate: every option so many places further down, the last ones first.
        letters: what the options are named by.
        distractors: so many wrong options more, from other items; below 0: so many fewer.
        prompt: the prompt; a task file writes only the keys that are others here.
        format: the number of another format of the prompt: separators, spacing, casing of descriptors, lettering.
        typos: share of words with a slip.
        case: the words of the question in `lower` or `upper` case.
        data, item: where the same items come from in other words (a translation), by the same ids.
        languages: of those.
        seed: of whatever is drawn.
    """

    name: str
    order: Literal["shuffle", "reverse"] | None = None
    rotate: int = 0
    letters: list[str] = field(default_factory=list)
    distractors: int = 0
    prompt: PromptSpec | None = None
    format: int | None = None
    typos: float = 0.0
    case: Literal["lower", "upper"] | None = None
    data: DataSpec | None = None
    item: ItemSpec | None = None
    languages: list[str] = field(default_factory=list)
    seed: int = 0


class ConfidenceSpec(_Spec, frozen=True):
    """A second question about each attempt: how sure the model is. Kept with the attempt, in no composite.

    Attributes:
        ask: `p_true` (is this answer true), `p_ik` (will you know), `verbal` (how sure are you), `relative` (of which of two questions are
            you surer).
        template: the question; sees the row's columns, `question`, `answer` (`p_true`, `verbal`) and `other` (`relative`).
        scale: of `verbal`: a number to 100 (`percent`), to 10 (`ten`), or one of five `words`.
        pairs: of `relative`: other items that each is compared with, in both orders.
        by: of the other three: the likelihood of the two answers, or the model `generate`s one.
        max_tokens: of what is written.
    """

    ask: Literal["p_true", "p_ik", "verbal", "relative"]
    template: str | None = None
    scale: Literal["percent", "ten", "words"] = "percent"
    pairs: int = 4
    by: Literal["likelihood", "generate"] = "likelihood"
    max_tokens: int = 32


class TaskSpec(_Spec, frozen=True):
    """A task file.

    Attributes:
        each: values that its templates see; where there are several of a name, the file makes a task of each (`tasks/each.py`).
        groups: keys of `each` by whose values its tasks form groups.
        aggregate: what a file with `each` comes to: the mean over its `tasks`, over all `items`, or over its `groups`.
    """

    task: str
    data: DataSpec
    prompt: PromptSpec
    item: ItemSpec = ItemSpec()
    response: ResponseSpec = ResponseSpec()
    scoring: ScoringSpec = ScoringSpec()
    version: int = 1
    title: str = ""
    description: str = ""
    domain: str = "general"
    capabilities: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=lambda: ["en"])
    modality: str = "text"
    licence: str = ""
    citation: str = ""
    chance: float | None = None
    human: float | None = None
    variant_of: str = ""
    each: dict[str, Any] | list[dict[str, Any]] | None = None
    groups: list[str] = field(default_factory=list)
    aggregate: Literal["tasks", "items", "groups"] = "tasks"
    variants: list[VariantSpec] = field(default_factory=list)
    confidence: list[ConfidenceSpec] = field(default_factory=list)

    @property
    def seed_name(self) -> str:
        """What draws are seeded by: a variant made of the task draws the same items, examples and samples as the task itself."""
        return self.task.partition("@")[0]


class SuiteEntry(_Spec, frozen=True):
    """One task of a suite: a built-in name or a path relative to the suite file, its weight in the composite, and its number of examples.

    Attributes:
        shots: how many examples it is put with; None: as its own file says.
        aggregate: of a file with `each`, what it comes to in this suite; None: as the file says.
    """

    task: str
    weight: float = 1.0
    shots: int | None = None
    aggregate: Literal["tasks", "items", "groups"] | None = None


class SuiteSpec(_Spec, frozen=True):
    """A suite file: tasks under one protocol. A `task` entry may also name another suite.

    Attributes:
        groups: name to tasks, suites or other groups of the suite that have a number together.
        composite: how its tasks become one number where nothing else is asked for: a key of `proctor.analysis.aggregate.COMPOSITES`.
    """

    suite: str
    tasks: list[SuiteEntry]
    groups: dict[str, list[str]] = field(default_factory=dict)
    composite: Literal["chance-corrected", "macro", "size-weighted", "win-rate", "borda", "geometric", "minimum"] = "chance-corrected"
    title: str = ""
    description: str = ""
    version: int = 1
