"""Finding tasks and suites by name: built-in ones, YAML files, folders of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from msgspec.structs import replace

from proctor.errors import TaskError, UsageError, nearest
from proctor.tasks.bigbench.ref import is_ref as is_bigbench
from proctor.tasks.each import by_group
from proctor.tasks.grouping import groups_of_file, groups_of_suite, weighted
from proctor.tasks.lm_eval.settings import LmEvalSettings, is_ref
from proctor.tasks.sources.files import read_once
from proctor.tasks.spec import SuiteSpec, TaskSpec
from proctor.tasks.suite import Group, Suite, Weighted
from proctor.tasks.task import Task
from proctor.tasks.yaml_file import TaskFile, read_task_file, read_yaml, task_spec_from_mapping

BEIR = "beir:"
BUILTIN = Path(__file__).parent.parent / "suites"
_SUITES = "builtin:suites/"
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


def load_task(ref: str | Path, lm_eval: LmEvalSettings | None = None, *, data: str | Path | None = None) -> Task:
    """A task by built-in name, path, `FILE/NAME` of a file with several, `beir:`, `bigbench:` or `lm-eval:`; `TASK@VARIANT`: a variant.

    Args:
        ref: the name.
        lm_eval: how tasks of lm-evaluation-harness are found and put.
        data: a file that says where data sets of the hub lie on this machine (`sources/data_map.py`).

    Raises:
        TaskError, DataError: a file that is wrong.
        UsageError: an unknown name, or one of several tasks.
    """
    name, given = _with_map(str(ref), lm_eval, data)
    if is_ref(name):
        from proctor.tasks.lm_eval.suite import load_task as load_lm_eval

        return load_lm_eval(name, given)
    if is_bigbench(name):
        from proctor.tasks.bigbench.suite import load_task as load_bigbench

        return load_bigbench(name)
    if name.startswith(BEIR):
        return _beir(name)
    plain, names = _variants(name)
    if names:
        return _one_variant(plain, names, given)
    path, source, part = _locate(name, task=True)
    if _is_suite(path):
        raise UsageError(f"'{ref}' is a suite, not a task; its tasks are listed by: proctor list tasks")
    file = read_task_file(path)
    specs = _chosen(file, part, source)
    if len(specs) > 1:
        raise UsageError(
            f"'{ref}' holds {len(specs)} tasks; name one, such as {source.removeprefix('builtin:')}{specs[0].task.removeprefix(file.name)}"
        )
    return _load_task(specs[0], file, path, source, given.data)


def _one_variant(ref: str, names: list[str], lm_eval: LmEvalSettings) -> Task:
    from proctor.tasks.variants.build import with_variants

    task = load_task(ref, lm_eval)
    found = with_variants(Suite(task.name, [Weighted(task)]), names).tasks[1:]
    if len(found) > 1:
        raise UsageError(f"'{ref}@{','.join(names)}' is several tasks: {', '.join(one.name for one in found)}; name one of them")
    return found[0]


def _variants(ref: str, base: Path | None = None) -> tuple[str, list[str]]:
    """`TASK@A,B` in its parts; no variants where there are none, or where that is the name of a file."""
    plain, at, names = ref.rpartition("@")
    if not at or not plain or "/" in names or not names or _is_there((base or Path()) / ref):
        return ref, []
    return plain, [name for name in names.split(",") if name]


def load_suite(ref: str | Path | Sequence[str | Path], lm_eval: LmEvalSettings | None = None, *, data: str | Path | None = None) -> Suite:
    """A suite by built-in name, path or `lm-eval:NAME`; of a task, a folder of task files or several of these, the suite made of them.

    `NAME@A,B` is the suite or task with the variants A and B of each task (`proctor.tasks.variants`).

    Args:
        ref: the name, or several.
        lm_eval: how tasks of lm-evaluation-harness are found and put.
        data: a file that says where data sets of the hub lie on this machine (`sources/data_map.py`).

    Raises:
        TaskError, DataError: a file that is wrong.
        UsageError: an unknown name.
    """
    refs = [str(ref)] if isinstance(ref, str | Path) else [str(one) for one in ref]
    parts = [_load_one(*_with_map(one, lm_eval, data)) for one in refs]
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
        if is_bigbench(ref):
            from proctor.tasks.bigbench.suite import load_suite as load_bigbench

            found += [(task.source, task.spec) for task in load_bigbench(ref).tasks]
            continue
        if ref.startswith(BEIR):
            found.append((ref, _beir_spec(ref)[0]))
            continue
        path, source, part = _locate(ref)
        for one, its_source, its_part in _files(path, source, part):
            found += [(its_source, spec) for spec in _chosen(read_task_file(one), its_part, its_source)]
    return found


def benchmark_files() -> list[tuple[str, TaskFile]]:
    """The benchmarks of the field that Proctor has a task file of, by name, without their data."""
    return [(name, read_task_file(BUILTIN / "benchmarks" / f"{name}.yaml")) for name in builtin_benchmarks()]


def suite_spec(name: str) -> SuiteSpec:
    """The suite file of a built-in suite or path."""
    path, _ = _find(name)
    return read_yaml(path, SuiteSpec, "suite")


def _with_map(ref: str, lm_eval: LmEvalSettings | None, data: str | Path | None, base: Path | None = None) -> tuple[str, LmEvalSettings]:
    """A name without `?data=MAP`, and the settings with the map: its own (relative to `base`), else the one given."""
    given = lm_eval or LmEvalSettings()
    given = given if data is None else replace(given, data=str(data))
    name, sign, query = ref.partition("?data=")
    if is_ref(ref) or not sign:
        return ref, given
    return name, replace(given, data=str((base or Path()) / unquote(query)))


def _files(path: Path, source: str, part: str = "", above: tuple[Path, ...] = ()) -> list[tuple[Path, str, str]]:
    """The task files behind a path, and which part of each: itself, those of a suite, those of a folder."""
    if path.is_dir():
        files = sorted(one for one in path.iterdir() if one.suffix in _YAML and not _is_suite(one))
        if not files:
            raise UsageError(f"{path}: a folder without task files (.yaml)")
        return [(one, str(one), "") for one in files]
    if _is_suite(path):
        above = _deeper(path, above)
        entries = [entry.task for entry in read_yaml(path, SuiteSpec, "suite").tasks]
        listed = [one.partition("?data=")[0] for one in entries if not is_ref(one) and not is_bigbench(one)]
        return [file for task in listed for file in _files(*_locate(task, path.parent), above)]
    return [(path, source, part)]


def _deeper(suite: Path, above: tuple[Path, ...]) -> tuple[Path, ...]:
    """The suites above those that `suite` names. Raises `TaskError` where it is above itself, by whatever path."""
    found = (*above, suite.resolve())
    if found[-1] in above:
        raise TaskError(f"{suite}: the suite contains itself: {' > '.join(one.name for one in found)}")
    return found


def _load_one(ref: str, given: LmEvalSettings, base: Path | None = None, above: tuple[Path, ...] = ()) -> Suite:
    if is_ref(ref):
        from proctor.tasks.lm_eval.suite import load_suite as load_lm_eval

        return load_lm_eval(ref, given, base)
    if is_bigbench(ref):
        from proctor.tasks.bigbench.suite import load_suite as load_bigbench

        return load_bigbench(ref, _bigbench_folder(given.data) if base == BUILTIN else base)
    if ref.startswith(BEIR):
        task = _beir(ref)
        return Suite(task.name, [Weighted(task)], title=task.spec.title, source=ref)
    plain, names = _variants(ref, base)
    if names:
        from proctor.tasks.variants.build import with_variants

        return with_variants(_load_one(plain, given, base, above), names)
    path, source, part = _locate(ref, base)
    found = f"{source}/{part}" if part else source
    again = f"{found}?data={quote(given.data, safe='/.~')}" if given.data else found  # what loads it once more
    if path.is_dir():
        files = [_load_file(one, its_source, "", given.data) for one, its_source, _ in _files(path, source)]
        groups = [group for file in files for group in file.groups]
        return Suite(path.name, [entry for file in files for entry in file.entries], source=again, groups=groups)
    if not _is_suite(path):
        file = _load_file(path, source, part, given.data)
        return Suite(file.name, file.entries, title=file.title, source=again, groups=file.groups)
    if part:
        raise UsageError(f"'{ref}': {source} is a suite; name the task '{part}' without it")
    above = _deeper(path, above)
    spec = read_yaml(path, SuiteSpec, "suite")
    entries, groups, known = list[Weighted](), list[Group](), dict[str, list[str]]()
    for entry in spec.tasks:
        inner = _load_one(*_with_map(entry.task, given, None, path.parent), path.parent, above)
        parts = inner.entries if entry.aggregate is None else weighted(inner.tasks, entry.aggregate)
        entries += [Weighted(one.task.changed(shots=entry.shots), one.weight * entry.weight) for one in parts]
        groups += inner.groups
        known |= {name: [task.name for task in inner.tasks] for name in (entry.task, inner.name)}
        known |= {group.name: list(group.tasks) for group in inner.groups}
        known |= {task.name: [task.name] for task in inner.tasks}
    groups += groups_of_suite(spec.groups, known, str(path))
    return Suite(spec.suite, entries, title=spec.title, source=again, groups=groups, composite=spec.composite)


def _bigbench_folder(data: str | None) -> Path:
    """Where the tasks of a built-in suite lie. Raises `UsageError` where no map says it."""
    from proctor.tasks.sources.data_map import read_map

    folder = read_map(data).get("google/BIG-bench") if data else None
    if not isinstance(folder, str):
        raise UsageError(
            "the tasks of BIG-bench come with its repository; say where its folder bigbench/benchmark_tasks lies: "
            "--data MAP.yaml with the line: google/BIG-bench: FOLDER"
        )
    return Path(data or "").parent / folder


def _load_file(path: Path, source: str, part: str, data: str | None) -> Suite:
    """The suite of a task file, or of a part of it: a task, a group."""
    file = read_task_file(path)
    with read_once():
        tasks = [_load_task(spec, file, path, source, data) for spec in _chosen(file, part, source)]
    if not file.many:
        return Suite(file.name, [Weighted(tasks[0])], title=file.title)
    whole = f"{file.name}/{part}" if part else file.name
    if len(tasks) == 1 and tasks[0].name == whole:
        return Suite(whole, [Weighted(tasks[0])], title=tasks[0].spec.title)
    groups = [group for group in groups_of_file(file) if not part or group.name == whole]
    return Suite(whole, weighted(tasks), title=file.title if not part else "", groups=groups)


def _chosen(file: TaskFile, part: str, source: str) -> list[TaskSpec]:
    """The tasks of a file, or those of a part of it. Raises `UsageError` where it has no such part."""
    if not part:
        return file.specs
    groups = by_group(file.specs, file.name) if file.many else {}
    parts = [*(spec.task for spec in file.specs), *groups] if file.many else []
    wanted = f"{file.name}/{part}"
    if wanted not in parts:
        known = [one.removeprefix(f"{file.name}/") for one in parts if one != file.name]
        more = nearest(part, known) or (
            f"; it has {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else "; it is one task"
        )
        raise UsageError(f"{source} has no task '{part}'{more}")
    among = groups.get(wanted, [wanted])
    return [spec for spec in file.specs if spec.task in among]


def _locate(ref: str, base: Path | None = None, *, task: bool = False) -> tuple[Path, str, str]:
    """The file behind a name, what to call it, and which part of it is named: `FILE/NAME`."""
    try:
        return (*_find(ref, base, task=task), "")
    except UsageError:
        parts = ref.split("/")
        for end in range(len(parts) - 1, 0, -1):
            try:
                path, source = _find("/".join(parts[:end]), base, task=task)
            except UsageError:
                continue
            if not path.is_dir():
                return path, source, "/".join(parts[end:])
        raise


def _find(ref: str, base: Path | None = None, *, task: bool = False) -> tuple[Path, str]:
    """The file or folder behind a name, and what to call it.

    Names inside a suite file are looked for beside it first. Of a built-in task and suite of one name the task is meant inside a suite
    file, where a `task` is asked for, and by `builtin:NAME`; else the suite, which is `builtin:suites/NAME`.
    """
    if ref.startswith(_SUITES):
        path = BUILTIN / f"{ref.removeprefix(_SUITES)}.yaml"
        if _is_there(path):
            return path, ref
    if ref.endswith(_YAML) or "/" in ref or (base is None and _is_there(Path(ref)) and Path(ref).is_dir() and ref not in builtin_suites()):
        path = (base or Path()) / ref
        if not _is_there(path):
            folder = path.parent
            beside = [one.name for one in folder.iterdir()] if folder.is_dir() else []
            raise UsageError(f"{path}: no such file{nearest(path.name, beside)}")
        return path, str(path)
    if base is not None and base != BUILTIN:
        for suffix in _YAML:
            if _is_there(base / f"{ref}{suffix}"):
                return base / f"{ref}{suffix}", str(base / f"{ref}{suffix}")
    name = ref.removeprefix("builtin:")
    folders = [BUILTIN / "tasks", BUILTIN / "benchmarks"]
    for folder in [*folders, BUILTIN] if task or base is not None or name != ref else [BUILTIN, *folders]:
        path = folder / f"{name}.yaml"
        if _is_there(path):
            of_two = folder == BUILTIN and any(_is_there(one / path.name) for one in folders)
            return path, f"{_SUITES}{name}" if of_two else f"builtin:{name}"
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


def _load_task(spec: TaskSpec, file: TaskFile, path: Path, source: str, data: str | None) -> Task:
    named = f"{source}{spec.task.removeprefix(file.name)}"
    where = str(path) if not source.startswith("builtin:") else source
    return Task.from_spec(spec, path.parent, named if file.many else source, named if file.many else where, data)


def _beir(ref: str) -> Task:
    spec, folder = _beir_spec(ref)
    return Task.from_spec(spec, folder, ref, ref)


def _beir_spec(ref: str) -> tuple[TaskSpec, Path]:
    """`beir:FOLDER` or `beir:FOLDER#SPLIT`: the task of a folder as BEIR has them, and the folder.

    BEIR leaves a document with the query's own id out of its ranking; so does this.
    """
    name, _, split = ref.removeprefix(BEIR).partition("#")
    folder, split = Path(name), split or "test"
    for file in ("corpus.jsonl", "queries.jsonl", f"qrels/{split}.tsv"):
        if not (folder / file).is_file():
            splits = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
            there = f"; it has judgements of: {', '.join(splits)} (name one as {BEIR}{name}#SPLIT)" if splits and "qrels" in file else ""
            raise UsageError(f"{ref}: there is no {folder / file}; expected corpus.jsonl, queries.jsonl and qrels/{split}.tsv{there}")
    keys = {
        "task": re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "beir",
        "title": f"BEIR folder {folder.name}, split {split}",
        "domain": "retrieval",
        "capabilities": ["retrieval"],
        "data": {"files": "queries.jsonl", "corpus": "corpus.jsonl", "qrels": f"qrels/{split}.tsv"},
        "prompt": "{{ text }}",
        "response": "rank",
        "scoring": [{"retrieval": {"same_id": "drop"}}],
    }
    return task_spec_from_mapping(keys, ref), folder
