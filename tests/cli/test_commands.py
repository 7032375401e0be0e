"""The verbs, typed as a user types them, on small tasks."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from proctor.results.manifest import read_manifest

FILES = {
    "two.yaml": "suite: two\ntitle: Two tasks\ntasks: [sums, {task: picks, weight: 3}]\n",
    "sums.yaml": "task: sums\ntitle: Small sums\ndomain: mathematics\ncapabilities: [calculation]\ndata: sums.csv\n"
    "prompt: '{{ q }} ='\nresponse: {max_tokens: 4}\nscoring: exact_match\n",
    "sums.csv": "id,q,target\n" + "".join(f"s{k},{k}+{k},{2 * k}\n" for k in range(1, 9)),
    "picks.yaml": "task: picks\ndomain: knowledge\ndata: picks.jsonl\nitem: {choices: opts}\n"
    'prompt: "{{ q }}\\n{{ options }}\\nAnswer:"\nresponse: choice\n',
    "picks.jsonl": "".join(json.dumps({"id": f"p{k}", "q": f"q{k}?", "opts": ["no", "yes"], "target": k % 2}) + "\n" for k in range(4)),
    "clever.py": """
import os
from pathlib import Path

def note(prompt):
    with Path("asked.log").open("a") as file:
        file.write(repr(prompt) + "\\n")

def answer(prompt):
    note(prompt)
    left, plus, right = prompt.partition("+")
    return str(int(left) + int(right.rstrip(" ="))) if plus else "A"

def loud(prompt):
    note(prompt)
    return f"The answer is {answer(prompt)}."

def interrupted(prompt):
    note(prompt)
    if "yes" in prompt and not os.environ.get("PATIENT"):
        raise KeyboardInterrupt
    return answer(prompt)
""",
}
CLEVER = "python:clever:answer"


@pytest.fixture
def proctor(type_in, tmp_path, monkeypatch):
    """Types a command in a folder with a suite of two tasks; checks the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROCTOR_STORE", raising=False)
    monkeypatch.delitem(sys.modules, "clever", raising=False)
    for name, text in FILES.items():
        Path(name).write_text(text)

    yield type_in
    sys.modules.pop("clever", None)


@pytest.fixture
def failing_baselines(monkeypatch):
    """Makes baselines raise a `ModelError` with a text, once they are asked."""
    from proctor.errors import ModelError
    from proctor.models.baseline import BaselineModel

    def fail(text: str) -> None:
        def answer(self, asks):
            raise ModelError(text)

        monkeypatch.setattr(BaselineModel, "answer", answer)

    return fail


def asked() -> int:
    return len(Path("asked.log").read_text().splitlines()) if Path("asked.log").exists() else 0


def runs() -> dict[str, Path]:
    """Folders by model and state."""
    return {read_manifest(folder).model: folder for folder in Path("store").iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# help, list


def test_help_names_every_verb(proctor):
    out = proctor("--help")
    for verb in ("run", "list", "show", "leaderboard", "profile", "report", "rescore"):
        assert f"\n  {verb} " in out
        assert proctor(verb, "--help").startswith(f"Usage: proctor {verb} ")
    assert out.startswith("Usage: proctor ")
    assert proctor("--version").startswith("proctor")


def test_list(proctor):
    assert "arithmetic" in proctor("list", "tasks")
    assert proctor("list", "tasks", "two.yaml").splitlines()[1].split() == ["sums", "mathematics", "generate", "en", "Small", "sums"]
    assert {suite["suite"] for suite in json.loads(proctor("list", "suites", "--json"))} >= {"core", "smoke"}
    assert "baseline:random" in proctor("list", "models")
    assert proctor("list", "runs") == "no runs in proctor-results\n"
    proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    (listed,) = json.loads(proctor("list", "runs", "--store", "store", "--json"))
    assert (listed["suite"], listed["model"], listed["state"], listed["attempts"]) == ("two", CLEVER, "complete", 12)


# show


def test_show_says_what_is_seen_and_what_is_right(proctor):
    out = proctor("show", "picks.yaml", "--item", "p1")
    for text in ("item p1 of 4", "q1?\nA. no\nB. yes\nAnswer:", "log-likelihood", "'A'", "B: yes", "chance 0.5"):
        assert text in out, text
    out = proctor("show", "sums.yaml", "--shots", "2")
    assert out.count("=") >= 3
    assert "a text of at most 4 tokens; the likeliest" in out
    as_written = proctor("show", "picks.yaml", "--model", CLEVER)
    assert "Answer with the letter of the right choice only." in as_written
    assert asked() == 0


def test_show_as_json_is_what_is_asked(proctor):
    shown = json.loads(proctor("show", "sums.yaml", "--item", "s3", "--json"))
    assert shown["request"]["prompt"]["messages"] == [{"role": "user", "content": "3+3 ="}]
    assert (shown["item"]["target"], shown["texts"]) == ("6", ["3+3 ="])
    assert shown["scoring"]["scorers"][0]["scorer"] == "exact_match"


# run


def test_run_prints_scores_with_uncertainty_and_where_they_are(proctor):
    out = proctor("run", "two.yaml", "-m", "baseline:random", "-m", CLEVER, "--choices", "generate", "--out", "store")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert lines["model"].split()[:6] == ["model", "rank", "tier", "composite", "sums", "picks"]
    # composite: (1 × (1 - 0)/(1 - 0) + 3 × (0.5 - 0.5)/(1 - 0.5)) / 4
    assert lines[CLEVER].split()[3:12:3] == ["25.0", "100.0", "50.0"]
    assert lines[CLEVER].count("±") == 3
    assert "baseline:random" in lines
    for folder in runs().values():
        assert f"results: {folder}" in out
    assert "protocol:" in out
    assert f"{CLEVER}: two: 12 attempts over 2 tasks" in proctor.err


def test_run_as_json_is_one_document_and_no_progress(proctor):
    (board,) = json.loads(proctor("run", "two.yaml", "-m", CLEVER, "--limit", "2", "--seed", "3", "--out", "store", "--json"))
    (model,) = board["models"]
    assert (board["suite"], board["tasks"], model["state"]) == ("two", ["sums", "picks"], "complete")
    assert model["tasks"]["sums"]["metrics"][0]["value"] == 1.0
    assert (model["tasks"]["sums"]["items"], model["tasks"]["picks"]["weight"]) == (2, 3.0)
    assert "attempts over" not in proctor.err


def test_a_finished_run_is_answered_from_what_is_kept(proctor):
    first = proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    before = contents(Path("store"))
    assert asked() == 12
    assert proctor("run", "two.yaml", "-m", CLEVER, "--out", "store") == first
    assert asked() == 12
    assert contents(Path("store")) == before


def test_answers_are_kept_for_other_suites_of_the_same_model(proctor):
    proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    proctor("run", "sums.yaml", "-m", CLEVER, "--out", "store")
    proctor("run", "sums.yaml", "-m", CLEVER, "--limit", "3", "--out", "store")
    assert asked() == 12
    proctor("run", "sums.yaml", "-m", CLEVER, "--shots", "1", "--out", "store", code=3)
    assert asked() == 20


def test_dry_run_asks_nothing_and_writes_nothing(proctor):
    out = proctor("run", "two.yaml", "-m", CLEVER, "--dry-run", "--limit", "2", "--out", "store")
    totals = next(line for line in out.splitlines() if line.startswith("in all"))
    assert totals.split()[2:4] == ["4", "4"]
    assert "+" in out
    assert "Answer with the letter of the right choice only." in out
    plans = json.loads(
        proctor("run", "two.yaml", "-m", CLEVER, "-m", "baseline:random", "--dry-run", "--epochs", "2", "--json", "--out", "store")
    )
    assert [plan["model"] for plan in plans] == [CLEVER, "baseline:random"]
    sums = plans[0]["tasks"][0]
    assert (sums["task"], sums["items"], sums["requests"], sums["output_tokens_at_most"], sums["example"]) == ("sums", 8, 16, 64, "1+1 =")
    assert asked() == 0
    assert not Path("store").exists()


def test_a_dry_run_tells_the_protocol_of_the_run(proctor):
    (plan,) = json.loads(proctor("run", "two.yaml", "-m", CLEVER, "--shots", "0", "--limit", "3", "--dry-run", "--json"))
    (board,) = json.loads(proctor("run", "two.yaml", "-m", CLEVER, "--shots", "0", "--limit", "3", "--json", "--out", "store"))
    assert plan["protocol"] == board["suite_hash"]


def test_failed_attempts_are_counted_and_asked_again(proctor):
    Path("clever.py").write_text(
        FILES["clever.py"].replace("    note(prompt)\n    left", "    note(prompt)\n    assert prompt != '3+3 ='\n    left")
    )
    out = proctor("run", "sums.yaml", "-m", CLEVER, "--out", "store", code=3)
    assert "proctor: 1 attempt failed; the same command asks it again" in proctor.err
    assert "failed 1 of 8" in out
    proctor("run", "sums.yaml", "-m", CLEVER, "--out", "store", code=3)
    assert asked() == 9


# leaderboard, profile, report


@pytest.fixture
def two_models(proctor):
    """A finished run of one model, and one of another that was interrupted in the second task."""
    proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    proctor("run", "two.yaml", "-m", "python:clever:interrupted", "--out", "store", code=130)
    assert "interrupted after 8 of 12" in proctor.err
    return proctor


def test_leaderboard_in_every_format(two_models):
    table = two_models("leaderboard", "--out", "store")
    assert table == two_models("leaderboard", "two", "--store", "store")
    for form in ("table", "md", "latex"):
        out = two_models("leaderboard", "two", "--out", "store", "--format", form)
        for text in (CLEVER, "sums", "picks", "composite", "100.0"):
            assert text in out, (form, text)
    assert "| sums |" in two_models("leaderboard", "--out", "store", "--format", "md")
    assert "\\begin{tabular}" in two_models("leaderboard", "--out", "store", "--format", "latex")
    rows = list(csv.DictReader(io.StringIO(two_models("leaderboard", "--out", "store", "--format", "csv"))))
    values = {(row["model"], row["task"], row["metric"]): row["value"] for row in rows}
    assert float(values[CLEVER, "sums", "exact_match"]) == 1.0
    assert float(values[CLEVER, "", "composite"]) == 0.25
    (board,) = json.loads(two_models("leaderboard", "--out", "store", "--format", "json"))
    assert [model["model"] for model in board["models"]] == [CLEVER, "python:clever:interrupted"]


def test_no_composite_where_a_task_is_missing(two_models, monkeypatch):
    (board,) = json.loads(two_models("leaderboard", "--out", "store", "--format", "json"))
    whole, part = board["models"]
    assert (whole["state"], whole["composite"]["value"], whole["composite"]["missing"]) == ("complete", 0.25, [])
    assert (part["state"], part["composite"]["value"], part["composite"]["missing"]) == ("stopped", None, ["sums", "picks"])
    rows = list(csv.DictReader(io.StringIO(two_models("leaderboard", "--out", "store", "--format", "csv"))))
    assert [row["value"] for row in rows if row["model"] == part["model"] and row["metric"] == "composite"] in ([], [""])
    assert "stopped" in two_models("leaderboard", "--out", "store")

    monkeypatch.setenv("PATIENT", "1")
    before = asked()
    two_models("run", "two.yaml", "-m", "python:clever:interrupted", "--out", "store")
    # `interrupted` and the function it calls both write down what they are asked; the eight sums are not asked again.
    assert asked() - before == 8
    (board,) = json.loads(two_models("leaderboard", "--out", "store", "--format", "json"))
    assert [model["composite"]["value"] for model in board["models"]] == [0.25, 0.25]


def test_protocols_are_never_in_one_table(proctor):
    proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    proctor("run", "two.yaml", "-m", "baseline:random", "--out", "store")  # by likelihood
    proctor("run", "two.yaml", "-m", CLEVER, "--limit", "2", "--out", "store")
    boards = json.loads(proctor("leaderboard", "--out", "store", "--format", "json"))
    assert len(boards) == 3
    assert len({board["suite_hash"] for board in boards}) == 3
    assert all(len(board["models"]) == 1 for board in boards)


def test_profile(proctor):
    proctor("run", "two.yaml", "-m", CLEVER, "--out", "store")
    out = proctor("profile", "clever", "--out", "store")
    for text in (CLEVER, "sums", "mathematics", "knowledge", "calculation", "Not distinguishable from guessing: picks."):
        assert text in out, text
    for form in ("json", "csv", "md", "latex"):
        assert "mathematics" in proctor("profile", CLEVER, "--out", "store", "--format", form)
    assert json.loads(proctor("profile", CLEVER, "--out", "store", "--format", "json"))


def test_report(proctor):
    proctor("run", "two.yaml", "-m", CLEVER, "-m", "baseline:random", "--out", "store")
    before = contents(Path("store"))
    out = proctor("report", "-o", "page", "--out", "store")
    assert "wrote page/index.html" in out
    page = Path("page/index.html").read_text()
    for text in ("clever", "random", "sums", "picks", "4+4"):
        assert text in page, text
    assert contents(Path("store")) == before


# rescore


def test_rescore_by_the_task_files_as_they_are_now(proctor):
    proctor("run", "two.yaml", "-m", "python:clever:loud", "--out", "store")
    (folder,) = runs().values()
    before = contents(folder)
    count = asked()
    Path("sums.yaml").write_text(FILES["sums.yaml"].replace("scoring: exact_match", "scoring: {extract: number, metrics: numeric}"))
    out = proctor("rescore", folder.name[:8], "--out", "store")
    assert asked() == count
    assert contents(folder) == before
    (after,) = (one for one in Path("store").iterdir() if one != folder)
    assert f"results: {after}" in out
    old, new = read_manifest(folder), read_manifest(after)
    assert [task.main.value for task in old.tasks] == [0.0, 0.5]
    assert [task.main.value for task in new.tasks] == [1.0, 0.5]
    assert new.rescored_from == old.run
    assert old.tasks[0].protocol_hash != new.tasks[0].protocol_hash
    assert old.tasks[1].protocol_hash == new.tasks[1].protocol_hash
    assert "nothing to do" in (proctor("rescore", after.name, "--out", "store", code=2), proctor.err)[1]


def test_rescore_refuses_where_more_than_the_scoring_changed(proctor):
    proctor("run", "sums.yaml", "-m", CLEVER, "--out", "store")
    Path("sums.yaml").write_text(FILES["sums.yaml"].replace("{{ q }} =", "{{ q }} is"))
    proctor("rescore", "sums", "--out", "store", code=2)
    assert "has no answer to 8 of the 8 requests" in proctor.err
    assert len(runs()) == 1


@pytest.mark.parametrize("tasks", [["smoke"], ["smoke_numbers", "sums.yaml"]])
def test_runs_of_built_in_tasks_can_be_rescored(tasks, proctor, monkeypatch):
    from proctor.scoring.numbers import Numeric

    proctor("run", *tasks, "-m", "baseline:random", "--out", "store")
    (folder,) = runs().values()
    proctor("rescore", folder.name, "--out", "store", code=2)
    assert "scored as before; nothing to do" in proctor.err
    monkeypatch.setattr(Numeric, "version", Numeric.version + 1)
    proctor("rescore", folder.name, "--out", "store")
    assert len(list(Path("store").iterdir())) == 2


# foreign text

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


def hostile_task(prompt: str, title: str = "A title") -> None:
    row = {"id": "h1", "q": prompt, "target": "1"}
    Path("hostile.jsonl").write_text(json.dumps(row) + "\n")
    Path("hostile.yaml").write_text(
        f"task: hostile\ntitle: {json.dumps(title)}\ndomain: knowledge\ndata: hostile.jsonl\nprompt: '{{{{ q }}}}'\n"
        "response: {max_tokens: 4}\nscoring: exact_match\n"
    )


@pytest.mark.parametrize(
    "command", [["show", "hostile.yaml"], ["show", "hostile.yaml", "-m", CLEVER], ["run", "hostile.yaml", "-m", CLEVER, "--dry-run"]]
)
def test_no_item_steers_the_terminal(proctor, command):
    hostile_task(f"before {HOSTILE} after\n\tindented")
    out = proctor(*command)
    assert not set("\x1b\x07\u202e\x9b") & set(out)
    assert "⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+001B⟩[2J⟨U+202E⟩⟨U+009B⟩31m after\n\tindented\n" in out


def test_no_error_message_steers_the_terminal(proctor, failing_baselines):
    failing_baselines(f"the server says {HOSTILE}\nand more")
    for command in (
        ["run", "sums.yaml", "-m", "baseline:random", "--out", "store"],  # what a model's server answers
        ["run", "sums.yaml", "-m", f"baseline:{HOSTILE}"],  # a name taken from elsewhere
        [f"run{HOSTILE}"],  # said by click
    ):
        proctor(*command, code=2)
        assert "⟨U+001B⟩]0;owned" in proctor.err
        assert not set("\x1b\x07\u202e\x9b") & set(proctor.err)
        assert "and more\n" in proctor.err or "server" not in proctor.err


def test_no_title_steers_the_terminal_or_breaks_the_list(proctor):
    hostile_task("1", title=f"One\n{HOSTILE}")
    _, line = proctor("list", "tasks", "hostile.yaml").splitlines()
    assert line.endswith("One ⟨U+001B⟩]0;owned⟨U+0007⟩⟨U+001B⟩[2J⟨U+202E⟩⟨U+009B⟩31m")


def test_texts_are_shown_exactly(proctor, monkeypatch):
    """Neither folded at the width of a terminal, nor with tabs expanded, nor with brackets read as markup."""
    monkeypatch.setenv("COLUMNS", "40")
    prompt = "word " * 40 + "x" * 200 + "\tend  [bold]b[/bold] [/b] :smile:"
    hostile_task(prompt, title="Match [a-z]+ [/b]")
    shown = proctor("show", "hostile.yaml")
    assert "hostile: Match [a-z]+ [/b]\n" in shown
    assert f"\n{prompt}\n" in shown
    assert f"\n{prompt}\n" in proctor("run", "hostile.yaml", "-m", CLEVER, "--dry-run")


def test_tokens_are_shown_exactly_and_shaded_on_a_terminal(proctor, monkeypatch):
    from proctor.cli import show
    from proctor.models.base import Preview
    from proctor.models.python_function import PythonModel

    tokens = ("one [b]", "\ttwo\n\n", "three\x1b[2J", " ", "x" * 200)
    monkeypatch.setattr(PythonModel, "preview", lambda self, request: Preview(("".join(tokens),), (tokens,), "as [tokens]"))
    out = proctor("show", "sums.yaml", "-m", CLEVER)
    assert f"(as [tokens])\none [b]\ttwo\n\nthree⟨U+001B⟩[2J {'x' * 200}\n5 tokens, shaded in turn\n" in out
    assert show._shaded("a\n\n", 0) == "\x1b[48;5;59ma\x1b[0m\n\n"
    assert show._shaded("a", 1) == "\x1b[48;5;237ma\x1b[0m"


def test_brackets_in_a_model_name_are_no_markup(monkeypatch):
    import rich.console

    from proctor.cli import progress

    class Wide(rich.console.Console):
        def __init__(self, **options):
            super().__init__(**options, file=screen, width=200, force_terminal=True)

    class Named:
        uri = "hf:./ckpt[v2][/b]"

    class Suite:
        name = "two"
        entries = ()

    screen = io.StringIO()
    monkeypatch.setattr(rich.console, "Console", Wide)
    live = progress.LiveProgress()
    live.begin("run", Named(), Suite(), 3, 0)
    live.end()
    assert "hf:./ckpt[v2][/b]" in screen.getvalue()


# several models


def test_one_bad_model_withholds_no_other(proctor, failing_baselines):
    failing_baselines("the weights are gone")
    out = proctor("run", "sums.yaml", "-m", "baseline:random", "-m", CLEVER, "-m", "baseline:majority", "--out", "store", code=2)
    assert proctor.err.count("proctor: the weights are gone") == 2
    assert proctor.err.index("the weights are gone") < proctor.err.index(f"{CLEVER}: sums: 8 attempts")
    assert f"task       {CLEVER}  " in out
    assert f"proctor profile {CLEVER}" in out
    assert out.count("results: ") == 1
    assert proctor("run", "sums.yaml", "-m", "baseline:random", "--out", "store", code=2) == ""


def test_an_interruption_stops_all_models(proctor):
    out = proctor("run", "picks.yaml", "-m", "python:clever:interrupted", "-m", CLEVER, "--out", "store", code=130)
    assert out == ""
    assert f"{CLEVER}: " not in proctor.err


def test_one_task_is_one_task(proctor):
    proctor("run", "picks.yaml", "-m", CLEVER, "--out", "store")
    assert "1 multiple-choice task is asked for a written letter, under a protocol of their own" in proctor.err


def test_show_and_dry_run_say_what_follows_an_answer(proctor, tmp_path):
    (tmp_path / "talk.yaml").write_text(
        "task: talk\ndata: {items: [{q: Hello, target: x}]}\n"
        'prompt: {template: "{{ q }}", turns: ["Why {{ answers[0] }}?"]}\nscoring: exact_match\n'
    )
    shown = proctor("show", str(tmp_path / "talk.yaml"))
    assert "then the user says ──\nWhy {{ answers[0] }}?\n" in shown
    planned = proctor("run", str(tmp_path / "talk.yaml"), "-m", "baseline:random", "--dry-run")
    assert "later turns, second questions and judges of talk" in planned


def test_a_dry_run_says_that_pictures_are_not_counted(proctor):
    planned = proctor("run", "shapes", "-m", "baseline:random", "--dry-run")
    assert "not counted: the pictures, sounds and documents of shapes" in planned
    assert "unknown" in next(line for line in planned.splitlines() if line.startswith("in all"))
    assert "[image/png, 29,141 bytes" in planned
