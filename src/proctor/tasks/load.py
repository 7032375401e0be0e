"""Finding tasks and suites by name: built-in ones, YAML files, folders of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proctor.errors import TaskError, UsageError, nearest
from proctor.tasks.lm_eval.settings import LmEvalSettings, is_ref
from proctor.tasks.spec import SuiteSpec, TaskSpec
from proctor.tasks.suite import Group, Suite, Weighted
from proctor.tasks.task import Task
from proctor.tasks.yaml_file import read_yaml

BUILTIN = Path(__file__).parent.parent / "suites"
_YAML = (".yaml", ".yml")


def builtin_suites() -> list[str]:
    """Names of the suites that come with Proctor."""
    return sorted(path.stem for path in BUILTIN.glob("*.yaml"))


def builtin_tasks() -> list[str]:
    """Names of the tasks that come with Proctor, items and all."""
    return sorted(path.stem for path in (BUILTIN / "tasks").glob("*.yaml"))


def builtin_benchmarks() -> list[str]:
    """Names of the benchmarks of the field that Proctor has a task file of; their items are fetched from their public home."""
    return sorted(path.stem for path in (BUILTIN / "benchmarks").glob("*.yaml"))


def load_task(ref: str | Path, lm_eval: LmEvalSettings | None = None) -> Task:
    """A task by built-in name, path, or `lm-eval:NAME`.

    Args:
        ref: the name.
        lm_eval: how tasks of lm-evaluation-harness are found and put.

    Raises:
        TaskError, DataError: a file that is wrong.
        UsageError: an unknown name.
    """
    if is_ref(str(ref)):
        from proctor.tasks.lm_eval.suite import load_task as load_lm_eval

        return load_lm_eval(str(ref), lm_eval)
    path, source = _find(str(ref))
    if _is_suite(path):
        raise UsageError(f"'{ref}' is a suite, not a task; its tasks are listed by: proctor list tasks")
    return _load_task(path, source)


def load_suite(ref: str | Path | Sequence[str | Path], lm_eval: LmEvalSettings | None = None) -> Suite:
    """A suite by built-in name, path or `lm-eval:NAME`; of a task, a folder of task files or several of these, the suite made of them.

    Args:
        ref: the name, or several.
        lm_eval: how tasks of lm-evaluation-harness are found and put.

    Raises:
        TaskError, DataError: a file that is wrong.
        UsageError: an unknown name.
    """
    refs = [str(ref)] if isinstance(ref, str | Path) else [str(one) for one in ref]
    parts = [_load_one(one, lm_eval) for one in refs]
    if len(parts) == 1:
        return parts[0]
    name = "+".join(part.name for part in parts)
    name = name if len(name) <= 60 else f"{parts[0].name}+{len(parts) - 1}"
    return Suite(
        name,
        [entry for part in parts for entry in part.entries],
        source="\n".join(part.source for part in parts),
        groups=[group for part in parts for group in part.groups],
    )


def task_specs(refs: Sequence[str]) -> list[tuple[str, TaskSpec]]:
    """(source, task file) of each task named, without reading any data: what `proctor list tasks` shows."""
    found: list[tuple[str, TaskSpec]] = []
    for ref in refs:
        if is_ref(ref):
            raise UsageError(f"{ref}: the tasks of lm-evaluation-harness are listed by: proctor list tasks lm-eval")
        path, source = _find(ref)
        for one, its_source in _files(path, source):
            found.append((its_source, read_yaml(one, TaskSpec, "task")))
    return found


def suite_spec(name: str) -> SuiteSpec:
    """The suite file of a built-in suite or path."""
    path, _ = _find(name)
    return read_yaml(path, SuiteSpec, "suite")


def _files(path: Path, source: str, above: tuple[Path, ...] = ()) -> list[tuple[Path, str]]:
    """The task files behind a path: itself, those of a suite, those of a folder."""
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix in _YAML and not _is_suite(one))
        if not files:
            raise UsageError(f"{path}: a folder without task files (.yaml)")
        return [(one, str(one)) for one in files]
    if _is_suite(path):
        above = _deeper(path, above)
        listed = [entry.task for entry in read_yaml(path, SuiteSpec, "suite").tasks if not is_ref(entry.task)]
        return [pair for task in listed for pair in _files(*_find(task, path.parent), above)]
    return [(path, source)]


def _deeper(suite: Path, above: tuple[Path, ...]) -> tuple[Path, ...]:
    """The suites above those that `suite` names. Raises `TaskError` where it is above itself, by whatever path."""
    found = (*above, suite.resolve())
    if found[-1] in above:
        raise TaskError(f"{suite}: the suite contains itself: {' > '.join(one.name for one in found)}")
    return found


def _load_one(ref: str, lm_eval: LmEvalSettings | None, base: Path | None = None, above: tuple[Path, ...] = ()) -> Suite:
    if is_ref(ref):
        from proctor.tasks.lm_eval.suite import load_suite as load_lm_eval

        return load_lm_eval(ref, lm_eval, base)
    path, source = _find(ref, base)
    if path.is_dir():
        listed = [Weighted(_load_task(one, its_source)) for one, its_source in _files(path, source)]
        return Suite(path.name, listed, source=source)
    if not _is_suite(path):
        task = _load_task(path, source)
        return Suite(task.name, [Weighted(task)], title=task.spec.title, source=source)
    above = _deeper(path, above)
    spec = read_yaml(path, SuiteSpec, "suite")
    entries, groups = list[Weighted](), list[Group]()
    for entry in spec.tasks:
        part = _load_one(entry.task, lm_eval, path.parent, above)
        entries += [Weighted(inner.task, inner.weight * entry.weight) for inner in part.entries]
        groups += part.groups
    return Suite(spec.suite, entries, title=spec.title, source=source, groups=groups)


def _find(ref: str, base: Path | None = None) -> tuple[Path, str]:
    """The file or folder behind a name, and what to call it. Names inside a suite file are looked for beside it first."""
    if ref.endswith(_YAML) or "/" in ref or (base is None and _is_there(Path(ref)) and Path(ref).is_dir() and ref not in builtin_suites()):
        path = (base or Path()) / ref
        if not _is_there(path):
            folder = path.parent
            beside = [one.name for one in folder.iterdir()] if folder.is_dir() else []
            raise UsageError(f"{path}: no such file{nearest(path.name, beside)}")
        return path, str(path)
    if base is not None:
        for suffix in _YAML:
            if _is_there(base / f"{ref}{suffix}"):
                return base / f"{ref}{suffix}", str(base / f"{ref}{suffix}") if base != BUILTIN else f"builtin:{ref}"
    name = ref.removeprefix("builtin:")
    for path in (BUILTIN / f"{name}.yaml", BUILTIN / "tasks" / f"{name}.yaml", BUILTIN / "benchmarks" / f"{name}.yaml"):
        if _is_there(path):
            return path, f"builtin:{name}"
    known = builtin_suites() + builtin_tasks() + builtin_benchmarks()
    raise UsageError(
        f"no task or suite is named '{name}'{nearest(name, known) or ';'} `proctor list tasks` and `proctor list suites` list them; "
        "a file is named by its path, ending in .yaml"
    )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long to be one
        return False


def _is_suite(path: Path) -> bool:
    """Whether a YAML file is a suite: the word `suite:` at the beginning of a line, `task:` at none."""
    if path.is_dir():
        return False
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise TaskError(f"{path}: cannot be read: {error.strerror}") from None
    return any(line.startswith("suite:") for line in lines) and not any(line.startswith("task:") for line in lines)


def _load_task(path: Path, source: str) -> Task:
    where = str(path) if not source.startswith("builtin:") else source
    return Task.from_spec(read_yaml(path, TaskSpec, "task"), path.parent, source, where)
