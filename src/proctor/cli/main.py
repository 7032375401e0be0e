"""`proctor`: finds the verb, and turns errors into messages and exit codes."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import NoReturn

import click

from proctor.errors import ProctorError, RunStopped, nearest
from proctor.visible import visible

VERBS = {
    "run": "Run (or continue) tasks on models and print the result.",
    "list": "List tasks, suites, models or runs.",
    "show": "Show exactly what a model will see, and what counts as right.",
    "convert": "Write a task of lm-evaluation-harness as a task file.",
    "leaderboard": "Compare the models of a store.",
    "compare": "Compare models with a baseline on the same items; a gate for CI.",
    "power": "How many items it takes to see a difference.",
    "profile": "Strengths and weaknesses of one model.",
    "heatmap": "Scores over two properties of the items, such as length and depth.",
    "plot": "Draw a picture for a paper: SVG, PDF or PNG.",
    "judges": "How far judges can be trusted: agreement, and what sways them.",
    "report": "Write the results as a page that opens from disk.",
    "rescore": "Score the kept answers of a run anew.",
    "import": "Bring in results that another tool made.",
    "export": "Write runs as other tools read them.",
    "sql": "Query the store in SQL.",
}

# Exit codes: 0 all answered; 1 a model is shown to be worse (compare --fail-if-worse); 2 a mistake in the command, a file or a model;
# 3 complete, but some attempts failed; 4 stopped, can be continued; 130 interrupted, can be continued.
SHOWN_WORSE, MISTAKE, SOME_FAILED, STOPPED, INTERRUPTED = 1, 2, 3, 4, 130


class _Verbs(click.Group):
    """Knows the verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command: click.Command = import_module(f"proctor.cli.{module}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"no command '{args[0]}'{nearest(args[0], VERBS) or ';'} commands: {', '.join(VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="proctor-eval", prog_name="proctor")
def cli() -> None:
    """Proctor administers the same exam to every model.

    Start with:  proctor run smoke -m smollm2 -m baseline:random
    """


def say_error(error: ProctorError) -> int:
    """Say on standard error what went wrong, and give the exit code for it."""
    click.echo(visible(f"proctor: {error}"), err=True)
    if isinstance(error, RunStopped):
        return INTERRUPTED if interrupted(error) else STOPPED
    return MISTAKE


def interrupted(error: ProctorError) -> bool:
    """Whether a run ended because the user said so, and not for a reason of its own."""
    return isinstance(error, RunStopped) and str(error).startswith("interrupted")


def main() -> NoReturn:
    """Run the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a pipe in Latin-1 has no ± nor –
    try:
        code = cli.main(prog_name="proctor", standalone_mode=False)
        code = code if isinstance(code, int) else 0
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(visible(shown.getvalue()), nl=False, err=True)
        code = MISTAKE
    except click.Abort:
        code = INTERRUPTED
    except ProctorError as error:
        code = say_error(error)
    except KeyboardInterrupt:
        click.echo("proctor: interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away (`proctor list tasks | head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.stdout.flush()
    sys.exit(code)
