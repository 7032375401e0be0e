"""A run's manifest: what was run, under which protocol, where, and what came out. One JSON file a person can read.

`docs/reference/run-folder.md` lists the fields for those who read it without Proctor.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from proctor.errors import StoreError

FORMAT = 1


class MetricResult(Struct, frozen=True):
    """One number of one task.

    Attributes:
        name: of the metric.
        value: the metric over all attempts; None where it is undefined (a correlation of constants).
        stderr: its standard error (over items, clustered by group; epochs averaged within items); None where undefined.
        higher_is_better, bounds: see `proctor.scoring.base.Metric`.
    """

    name: str
    value: float | None
    stderr: float | None
    higher_is_better: bool = True
    bounds: tuple[float, float] | None = (0.0, 1.0)


class TaskResult(Struct, frozen=True):
    """What one model did on one task.

    Attributes:
        task, version, title, description, domain, capabilities, languages, modality, licence, citation, human: from the task.
        source: where the task came from: `builtin:NAME`, a path, or `python`.
        origin: where its items came from.
        protocol_hash: of `protocol`; scores compare only where it is equal.
        protocol: everything that must be the same for two scores to be comparable.
        weight: in the suite's composite; 0 leaves the task out.
        chance: the expected score of guessing, on the main metric's scale.
        items, epochs: how many.
        groups: independent draws among the items: groups, and items that stand alone; equal to `items` where nothing is grouped.
        attempts: items × epochs.
        states: attempts in each state; they add up to `attempts`.
        metrics: the main metric first.
        cut_prompts: attempts whose prompt did not fit the model's context, so that its beginning was left out.
        seconds, input_tokens, output_tokens, cost: totals over attempts; None where unknown.
        variant_of: the task of which this one holds perturbed or fresh items; empty where it is none.
        dimensions: names of the items' metadata by which a profile breaks the result down.
    """

    task: str
    protocol_hash: str
    metrics: list[MetricResult]
    items: int
    attempts: int
    states: dict[str, int]
    version: int = 1
    title: str = ""
    description: str = ""
    domain: str = "general"
    capabilities: list[str] = field(default_factory=list)
    languages: list[str] = field(default_factory=list)
    modality: str = "text"
    licence: str = ""
    citation: str = ""
    human: float | None = None
    source: str = ""
    origin: str = ""
    weight: float = 1.0
    chance: float = 0.0
    groups: int = 0
    epochs: int = 1
    cut_prompts: int = 0
    seconds: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    protocol: dict[str, Any] = field(default_factory=dict)
    variant_of: str = ""
    dimensions: list[str] = field(default_factory=list)

    @property
    def main(self) -> MetricResult:
        """The metric the task is judged by."""
        return self.metrics[0]


class SourceFile(Struct, frozen=True):
    """A file that a run was imported from: its name (without folders of the machine), sha256 and size in bytes."""

    name: str
    sha256: str
    bytes: int


class Provenance(Struct, frozen=True):
    """Where an imported run comes from.

    Attributes:
        format: of the importer that read it, such as `lm-eval`.
        tool: what made the results, with its version.
        sources: the files.
        imported_at: Unix time, seconds.
        notes: what a reader must know of the import, one sentence each: numbers that the answers do not bear out, items without answers.
    """

    format: str
    tool: str
    sources: list[SourceFile]
    imported_at: float
    notes: list[str] = field(default_factory=list)


class Manifest(Struct, kw_only=True):
    """Everything about a run but its attempts.

    Attributes:
        format: version of this file's format.
        run: the run's id, the name of its folder.
        suite, suite_hash: the suite and the hash over its tasks' protocols and weights.
        composite: how the suite's file says its tasks become one number; empty where it does not.
        model: the model as named; `fingerprint` pins its weights and settings; `model_info` describes it.
        signature: one line that pins the scores; what goes in a paper.
        state: `running`, `stopped` (can be continued) or `complete` (every attempt answered or counted as failed).
        tasks: results, in suite order; empty while running.
        totals: attempts, states, asked, reused (answers kept from earlier runs), retries, input_tokens, output_tokens, cost.
        settings: what the run was asked for (limit, shots, epochs, seed, choices).
        versions: proctor, python and the packages that matter.
        hardware: machine, processors, memory, accelerator.
        started_at, finished_at: Unix time, seconds; `seconds`: time spent asking, over all sittings.
        rescored_from: the run whose answers were scored anew.
        provenance: of a run that another tool made; None for our own.
    """

    run: str
    suite: str
    suite_hash: str
    model: str
    fingerprint: str
    signature: str
    state: Literal["running", "stopped", "complete"] = "running"
    suite_title: str = ""
    composite: str = ""
    suite_source: str = ""
    tasks: list[TaskResult] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    model_info: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    started_at: float = 0.0
    finished_at: float | None = None
    seconds: float = 0.0
    rescored_from: str | None = None
    provenance: Provenance | None = None
    format: int = FORMAT


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the run in `folder`. Raises `StoreError` where there is none, or it is damaged or of another format."""
    path = folder / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise StoreError(f"{folder}: not a run's folder: it has no manifest.json") from None
    except (msgspec.DecodeError, OSError) as error:
        raise StoreError(f"{path}: cannot be read as a manifest: {error}") from None
    if manifest.format != FORMAT:
        raise StoreError(f"{path}: format {manifest.format}; this Proctor reads format {FORMAT}: use the version that wrote it")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in one step, so that no reader ever sees half of it."""
    # What a third party's model says of itself may be of any type: it is written as text.
    path = folder / "manifest.json"
    partial = folder / "manifest.json.partial"
    try:
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(manifest, enc_hook=str), indent=2) + b"\n")
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from None
