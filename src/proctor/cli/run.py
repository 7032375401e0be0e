"""`proctor run`."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from proctor.cli.lm_eval_options import lm_eval_options
from proctor.cli.options import judge_option, store_option

if TYPE_CHECKING:
    from proctor.engine.plan import Settings
    from proctor.engine.stopping import Allowance
    from proctor.tasks.lm_eval.settings import LmEvalSettings
    from proctor.tasks.suite import Suite


_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", value)
    if match is None or not float(match[1]):
        raise click.BadParameter(f"'{value}' is no length of time; write seconds, or 90s, 10m, 2h", ctx, param)
    return float(match[1]) * _SECONDS[match[2]]


def _names(value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


@click.command("run")
@click.argument("tasks", nargs=-1, required=True, metavar="SUITE|TASK…")
@click.option(
    "-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="A model; repeat for several. Forms: proctor list models"
)
@click.option("--limit", type=click.IntRange(1), help="At most N items of each task; the same ones for every model.")
@click.option("--shots", type=click.IntRange(0), help="N few-shot examples in every task.")
@click.option("--epochs", type=click.IntRange(1), help="Ask every item K times.")
@click.option("--seed", type=int, help="Of the examples, sampling and the limit.")
@click.option(
    "--choices",
    type=click.Choice(["likelihood", "generate"]),
    default="likelihood",
    show_default=True,
    help="Multiple choice by log-likelihood where the model gives it, or by a written letter always.",
)
@judge_option
@click.option("--confidence", metavar="NAME,…", help="Also ask about every answer how sure the model is: p_true, p_ik, verbal, relative.")
@click.option(
    "--variants",
    metavar="NAME,…",
    help="Also these variants of each task: declared, standard, option_order, option_letters, formats, typos, casing, distractors, …",
)
@click.option(
    "--max-cost",
    type=click.FloatRange(0, min_open=True),
    metavar="DOLLARS",
    help="Stop when so much is spent by this command; the same command continues.",
)
@click.option("--max-time", callback=_duration, metavar="SECONDS|10m|2h", help="Stop after so long; the same command continues.")
@lm_eval_options
@store_option
@click.option("--dry-run", is_flag=True, help="Say what would be asked: items, requests, tokens, cost, one example per task.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and no progress.")
def command(
    tasks: tuple[str, ...],
    models: tuple[str, ...],
    limit: int | None,
    shots: int | None,
    epochs: int | None,
    seed: int | None,
    choices: Literal["likelihood", "generate"],
    variants: str | None,
    confidence: str | None,
    judges: tuple[str, ...],
    max_cost: float | None,
    max_time: float | None,
    lm_eval: LmEvalSettings,
    store: Path,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run (or continue) tasks on models and print the result.

    TASK is a built-in name (proctor list tasks), a task file or a folder of them, or lm-eval:NAME for a task, group, tag or glob of
    lm-evaluation-harness; several form one suite. The same command continues an interrupted run; a finished one is answered from what is
    kept.

    \b
    proctor run smoke -m baseline:random
    proctor run core -m smollm2 -m hf:./my-checkpoint
    proctor run my-task.yaml -m http://localhost:8000/v1#my-model --limit 50
    proctor run lm-eval:mmlu -m hf:./my-checkpoint --shots 5 --compat lm-eval
    proctor run knowledge -m smollm2 --variants option_order,typos
    """
    from proctor.engine.plan import Settings
    from proctor.engine.stopping import Allowance
    from proctor.tasks.load import load_suite

    allowance = Allowance(max_cost, max_time)
    settings = Settings(limit=limit, shots=shots, epochs=epochs, seed=seed, choices=choices, judges=judges, confidence=_names(confidence))
    suite = load_suite(tasks, lm_eval)
    if variants:
        from proctor.tasks.variants.build import with_variants

        suite = with_variants(suite, _names(variants))
    if dry_run:
        from proctor.cli.dry_run import dry_run as tell

        tell(suite, models, settings, as_json=as_json)
        return 0
    return _run(suite, models, settings, allowance, store, as_json)


def _run(suite: Suite, models: tuple[str, ...], settings: Settings, allowance: Allowance, store: Path, as_json: bool) -> int:
    from proctor.cli.main import SOME_FAILED, interrupted, say_error
    from proctor.cli.output import print_tables
    from proctor.cli.progress import observer
    from proctor.engine.run import run_model
    from proctor.errors import ModelError, RunStopped
    from proctor.models.open import open_model
    from proctor.reports.ranking import ranked_boards
    from proctor.reports.tables import leaderboard_table
    from proctor.results.store import DEFAULT_STORE, Store

    # A scheduler's polite end is treated like Ctrl-C: stop cleanly, to be continued.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    opened = [open_model(uri) for uri in models]  # all of them first: a typo in the last should not cost the first one's time
    runs, error_code = [], 0
    for model in opened:
        try:
            runs.append(run_model(suite, model, Store(store), settings, observer(silent=as_json), allowance=allowance))
        except (ModelError, RunStopped) as error:
            if interrupted(error):
                raise
            # What is wrong with one model is no reason to withhold the others.
            code = say_error(error)
            error_code = error_code or code
        finally:
            model.close()
    if not runs:
        return error_code
    manifests = [run.manifest for run in runs]
    tables = [leaderboard_table(board) for board in ranked_boards(runs)]
    if as_json:
        print_tables(tables, "json")
    else:
        print_tables(tables)
        click.echo("")
        for run in runs:
            click.echo(f"results: {run.location}")
        where = "" if store == DEFAULT_STORE else f" --out {shlex.quote(str(store))}"
        click.echo(f"next:    proctor profile {shlex.quote(manifests[0].model)}{where}")
        click.echo(f"         proctor report -o report{where}")
    failed = sum(manifest.totals["states"]["failed"] for manifest in manifests)
    if failed:
        failures = (
            "1 attempt failed; the same command asks it again"
            if failed == 1
            else f"{failed} attempts failed; the same command asks them again"
        )
        click.echo(f"proctor: {failures}", err=True)
    sys.stdout.flush()
    return error_code or (SOME_FAILED if failed else 0)
