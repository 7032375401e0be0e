"""`proctor list`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proctor.cli.options import store_option

if TYPE_CHECKING:
    from proctor.tasks.yaml_file import TaskFile


@click.command("list")
@click.argument("what", type=click.Choice(["tasks", "suites", "models", "runs"]))
@click.argument("where", nargs=-1)
@click.option("--unsupported", is_flag=True, help="Of lm-eval's tasks, those that cannot be run, and why.")
@click.option("--lm-eval-path", multiple=True, type=click.Path(), metavar="FOLDER", help="Task files of lm-evaluation-harness.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(what: str, where: tuple[str, ...], unsupported: bool, lm_eval_path: tuple[str, ...], store: Path, as_json: bool) -> None:
    """List tasks, suites, forms of model names, or runs.

    WHERE narrows tasks to those of a suite, a file or a folder: proctor list tasks core. With benchmarks as WHERE the benchmarks of the
    field are listed, one a line; with lm-eval the tasks, groups and tags of lm-evaluation-harness, all or those of a name or glob:
    proctor list tasks lm-eval 'arc_*'
    """
    if what == "tasks" and where and where[0] == "lm-eval":
        _show(*_lm_eval(where[1:], lm_eval_path, unsupported), as_json, "no such task")
        return
    if unsupported or lm_eval_path:
        raise click.UsageError("--unsupported and --lm-eval-path are for: proctor list tasks lm-eval")
    columns, rows = {"tasks": _tasks, "suites": _suites, "models": _models, "runs": _runs}[what](where, store)
    _show(columns, rows, as_json, f"no {what} in {store}" if what == "runs" else f"no {what}")


def _show(columns: list[str], rows: list[list[Any]], as_json: bool, nothing: str) -> None:
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2, ensure_ascii=False))
    elif rows:
        _print(columns, rows)
    else:
        click.echo(nothing)


def _lm_eval(names: tuple[str, ...], paths: tuple[str, ...], unsupported: bool) -> tuple[list[str], list[list[Any]]]:
    from proctor.tasks.lm_eval.index import read_index
    from proctor.tasks.lm_eval.listing import listed, problems

    index = read_index(paths)
    return problems(index, names) if unsupported else listed(index, names)


def _tasks(where: tuple[str, ...], store: Path) -> tuple[list[str], list[list[Any]]]:
    from proctor.tasks.load import benchmark_files, builtin_tasks, task_specs

    if where == ("benchmarks",):
        return ["benchmark", "tasks", "domain", "response", "languages", "title"], [_benchmark(*pair) for pair in benchmark_files()]

    rows = [
        [spec.task, spec.domain, spec.response.kind, ", ".join(spec.languages), spec.title]
        for _, spec in task_specs(where or builtin_tasks())
    ]
    return ["task", "domain", "response", "languages", "title"], rows


def _benchmark(name: str, file: TaskFile) -> list[Any]:
    languages = dict.fromkeys(language for spec in file.specs for language in spec.languages)
    first = file.specs[0]
    shown = ", ".join(languages) if len(languages) <= 4 else f"{len(languages)} languages"
    return [name, len(file.specs), first.domain, first.response.kind, shown, file.title]


def _suites(where: tuple[str, ...], store: Path) -> tuple[list[str], list[list[Any]]]:
    from proctor.tasks.load import benchmark_files, builtin_suites, suite_spec, task_specs

    named = [(name, suite_spec(name)) for name in where or builtin_suites()]
    elsewhere = [sum(one.task.startswith(("bigbench:", "lm-eval:")) for one in spec.tasks) for _, spec in named]
    rows = [
        [spec.suite, len(task_specs([name])) + more, spec.composite, spec.title]
        for (name, spec), more in zip(named, elsewhere, strict=True)
    ]
    if not where:  # a benchmark of many tasks is a suite, too
        over = {"tasks": "mean over tasks", "items": "mean over items", "groups": "mean over groups"}
        rows += [[name, len(file.specs), over[file.specs[0].aggregate], file.title] for name, file in benchmark_files() if file.many]
    return ["suite", "tasks", "one number", "title"], rows


def _models(where: tuple[str, ...], store: Path) -> tuple[list[str], list[list[Any]]]:
    from proctor.models.open import MODEL_FORMS

    return ["form", "what it is", "example"], [list(form) for form in MODEL_FORMS]


def _runs(where: tuple[str, ...], store: Path) -> tuple[list[str], list[list[Any]]]:
    from proctor.results.store import Store

    rows = []
    for run in Store(store).runs():
        manifest = run.manifest
        rows.append(
            [manifest.run, manifest.suite, manifest.model, manifest.state, manifest.totals.get("attempts"), round(manifest.seconds, 1)]
        )
    return ["run", "suite", "model", "state", "attempts", "seconds"], rows


def _print(columns: list[str], rows: list[list[Any]]) -> None:
    """Aligned columns; the last one takes what is left of the line, and nothing is cut when piped."""
    import shutil
    import sys

    from proctor.visible import one_line

    def shown(value: Any) -> str:
        text = "" if value is None else str(value)
        return text if text.isascii() and text.isprintable() else one_line(text)  # of many thousand cells nearly all are plain

    texts = [[shown(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(columns, *texts, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in [columns, *texts]]
    if room:
        lines = [line if len(line) <= room else line[: room - 1] + "…" for line in lines]
    click.echo("\n".join([click.style(lines[0], bold=True), *lines[1:]]))
