"""What is typed most often must answer at once: nothing heavy is imported before it is used."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "polars", "numpy", "pandas", "pyarrow", "aiohttp", "jinja2", "sacrebleu", "scipy", "rich", "matplotlib")


def loaded(code: str) -> set[str]:
    """Top-level packages in `sys.modules` after `code`; its own output is thrown away."""
    dump = (
        "import sys, os, io, atexit\n"
        "sys.stdout = io.StringIO()\n"
        "atexit.register(lambda: os.write(2, ' '.join({name.split('.')[0] for name in sys.modules}).encode()))\n"
    )
    done = subprocess.run([sys.executable, "-c", dump + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return set(done.stderr.split())


def typed(*command: str) -> str:
    return f"import sys; sys.argv = {['proctor', *command]!r}\nfrom proctor.cli.main import main\nmain()"


@pytest.mark.parametrize(
    "code",
    [
        "import proctor; dir(proctor)",
        "import proctor; proctor.__version__; proctor.ProctorError",
        "import proctor.cli.main",
        typed("--help"),
        typed("--version"),
        typed("run", "--help"),
        *(
            typed(verb, "--help")
            for verb in ("leaderboard", "compare", "power", "profile", "plot", "report", "rescore", "import", "export", "sql", "show")
        ),
        typed("list", "tasks"),
        typed("list", "tasks", "core"),
        typed("list", "models"),
        typed("list", "runs", "--store", "no-such-store"),
    ],
    ids=lambda code: code.split("\n")[0].removeprefix("import sys; sys.argv = ").removeprefix("import "),
)
def test_nothing_heavy_is_imported(code):
    found = loaded(code)
    assert "proctor" in found
    assert not found & set(HEAVY)


@pytest.mark.parametrize(
    ("code", "unused"),
    [
        (typed("show", "arithmetic"), ("torch", "transformers", "aiohttp", "polars", "pandas", "sacrebleu")),
        (
            typed("run", "smoke", "-m", "baseline:random", "--dry-run"),
            ("torch", "transformers", "aiohttp", "polars", "pandas", "sacrebleu"),
        ),
        ("import proctor; proctor.load_suite('core')", ("torch", "transformers", "aiohttp", "polars", "pandas")),
        ("import proctor; proctor.open_model('openai:m')", ("torch", "transformers", "polars", "pandas")),
    ],
    ids=["show", "dry-run", "load_suite", "open_model"],
)
def test_only_what_is_used_is_imported(code, unused, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert not loaded(code) & set(unused)


def test_this_would_be_noticed():
    assert "polars" in loaded("import proctor, polars")


def test_listing_suites_needs_nothing_but_templates():
    """It reads every task file of a benchmark, and titles of some of their tasks are templates."""
    assert not loaded(typed("list", "suites")) & (set(HEAVY) - {"jinja2"})
