"""Data sets of the Hugging Face hub, against a local server that speaks the part of the hub's HTTP that huggingface_hub asks for.

The layouts are those of real data sets (named in each test); the rows are made up.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest

huggingface_hub = pytest.importorskip("huggingface_hub")

from proctor.errors import DataError  # noqa: E402
from proctor.tasks.load import load_task, task_specs  # noqa: E402
from proctor.tasks.sources import read_rows  # noqa: E402
from proctor.tasks.spec import DataSpec  # noqa: E402
from proctor.tasks.task import Task  # noqa: E402


def parquet(rows: list[dict]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file)
    return file.getvalue()


def arrow(rows: list[dict]) -> bytes:
    file = io.BytesIO()
    pl.DataFrame(rows).write_ipc_stream(file)
    return file.getvalue()


def jsonl(rows: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


class Hub:
    """Data sets by name: {revision: {path: bytes}}; `commits` of every revision; what was asked for."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.page = 1000
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def do_HEAD(self) -> None:
                hub.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def commit(self, name: str, revision: str) -> str:
        contents = sorted((path, hashlib.sha1(data).hexdigest()) for path, data in self.sets[name][revision].items())
        return hashlib.sha1(json.dumps([name, contents]).encode()).hexdigest()

    def revision(self, name: str, revision: str) -> dict[str, bytes] | None:
        of = self.sets[name]
        if revision in of:
            return of[revision]
        return next((files for key, files in of.items() if self.commit(name, key) == revision), None)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        address = urlsplit(request.path)
        self.asked.append(f"{request.command} {request.path}")
        parts = [unquote(part) for part in address.path.split("/")[1:]]
        api = parts[0] == "api"
        parts = parts[1:] if api else parts
        if parts[0] != "datasets":
            return self.send(request, 404, b"{}")
        name, verb, revision, rest = "/".join(parts[1:3]), parts[3], parts[4], "/".join(parts[5:])
        if name in self.broken:
            return self.send(request, 418, b"{}")
        if name not in self.sets:
            return self.send(request, 401, b'{"error":"x"}', {"X-Error-Code": "RepoNotFound"})
        if name in self.gated:
            return self.send(request, 403, b'{"error":"x"}', {"X-Error-Code": "GatedRepo"})
        files = self.revision(name, revision)
        if files is None:
            return self.send(request, 404, b'{"error":"x"}', {"X-Error-Code": "RevisionNotFound"})
        key = next(key for key, value in self.sets[name].items() if value is files)
        commit = self.commit(name, key)
        if api and verb == "revision":
            info = {"id": name, "sha": commit, "siblings": [], "tags": [], "private": False, "downloads": 0, "likes": 0}
            return self.send(request, 200, json.dumps(info).encode())
        if api and verb == "tree":
            return self.tree(request, address, files)
        if verb == "resolve" and rest in files:
            headers = {"ETag": f'"{hashlib.sha1(files[rest]).hexdigest()}"', "X-Repo-Commit": commit}
            return self.send(request, 200, files[rest], headers)
        return self.send(request, 404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})

    def tree(self, request: BaseHTTPRequestHandler, address, files: dict[str, bytes]) -> None:
        entries = [{"type": "directory", "path": one, "oid": "0"} for one in sorted({path.split("/")[0] for path in files if "/" in path})]
        entries += [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in sorted(files.items())]
        start = int(address.query.partition("cursor=")[2] or 0)
        headers = {}
        if start + self.page < len(entries):
            headers["Link"] = f'<{self.url}{address.path}?recursive=true&cursor={start + self.page}>; rel="next"'
        self.send(request, 200, json.dumps(entries[start : start + self.page]).encode(), headers)

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        request.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    yield hub
    hub.server.shutdown()
    hub.server.server_close()


def rows_of(name: str, count: int = 3) -> list[dict]:
    return [{"question": f"{name} {index}?", "choices": ["a", "b"], "answer": index} for index in range(count)]


def read(**keys):
    return read_rows(DataSpec(**keys), Path(), "t.yaml")


def fails(*expected: str, **keys) -> str:
    with pytest.raises(DataError) as caught:
        read(**keys)
    message = str(caught.value)
    assert message.startswith("t.yaml: ")
    assert "\n" not in message
    for text in expected:
        assert text in message
    return message


def readme(configs: str) -> bytes:
    return f"---\nlicense: mit\nlanguage:\n- no\n{configs}---\n# A data set\n".encode()


MMLU = readme(
    "".join(
        f"- config_name: {name}\n  data_files:\n  - split: test\n    path: {name}/test-*\n  - split: dev\n    path: {name}/dev-*\n"
        for name in ("abstract_algebra", "anatomy", "world_religions")
    ).join(["configs:\n", "dataset_info:\n- config_name: anatomy\n  features:\n  - name: answer\n    class_label: {names: {'0': A}}\n"])
)


def make_mmlu(hub: Hub) -> None:
    files = {"README.md": MMLU, "mmlu.py": b"raise SystemExit"}
    for name in ("abstract_algebra", "anatomy", "world_religions"):
        for split in ("test", "dev"):
            files[f"{name}/{split}-00000-of-00001.parquet"] = parquet(rows_of(f"{name} {split}"))
    hub.sets["cais/mmlu"] = {"main": files}


def test_configs_of_the_readme_as_in_cais_mmlu(hub):
    make_mmlu(hub)
    hub.page = 3  # the listing comes in pages
    rows = read(hub="cais/mmlu", config="anatomy", split="test", shots="dev")
    assert rows.rows == rows_of("anatomy test")
    assert rows.shots == rows_of("anatomy dev")
    commit = hub.commit("cais/mmlu", "main")
    assert rows.origin == f"hub cais/mmlu anatomy/test, commit {commit}"
    assert rows.where(2) == "cais/mmlu/anatomy/test-00000-of-00001.parquet row 3"
    fetched = {one.rpartition("/resolve/")[2].partition("/")[2] for one in hub.asked if one.startswith("GET /datasets")}
    assert fetched == {"README.md", "anatomy/test-00000-of-00001.parquet", "anatomy/dev-00000-of-00001.parquet"}


def test_folders_of_configs_as_in_gsm8k(hub):
    configs = "".join(
        f"- config_name: {name}\n  data_files:\n  - split: train\n    path: {name}/train-*\n  - split: test\n    path: ['{name}/test-*']\n"
        for name in ("main", "socratic")
    )
    files = {
        f"{name}/{split}-00000-of-00001.parquet": parquet(rows_of(name + split))
        for name in ("main", "socratic")
        for split in ("train", "test")
    }
    hub.sets["openai/gsm8k"] = {"main": {"README.md": readme(f"configs:\n{configs}"), **files}}
    assert read(hub="openai/gsm8k", config="socratic", split="test").rows == rows_of("socratictest")
    fails("several: name the config under data.config", "main, socratic", hub="openai/gsm8k", split="test")


def test_names_of_shards_as_in_hellaswag(hub):
    files = {
        f"data/{split}-0000{part}-of-00002.parquet": parquet(rows_of(f"{split}{part}"))
        for split in ("train", "validation")
        for part in (0, 1)
    }
    hub.sets["Rowan/hellaswag"] = {"main": {"README.md": b"# no front matter", ".gitattributes": b"", **files}}
    assert read(hub="Rowan/hellaswag", split="validation").rows == rows_of("validation0") + rows_of("validation1")


def test_folder_as_config_without_a_readme_as_in_ai2_arc(hub):
    names = ("ARC-Challenge", "ARC-Easy")
    files = {
        f"{name}/{split}-00000-of-00001.parquet": parquet(rows_of(name + split))
        for name in names
        for split in ("train", "test", "validation")
    }
    hub.sets["allenai/ai2_arc"] = {"main": files}
    assert read(hub="allenai/ai2_arc", config="ARC-Challenge", split="test").rows == rows_of("ARC-Challengetest")
    fails("no config 'ARC-Challange'", "did you mean 'ARC-Challenge'?", hub="allenai/ai2_arc", config="ARC-Challange", split="test")


@pytest.mark.parametrize(
    ("files", "split", "expected"),
    [
        ({"test.csv": b"q,a\nx,1\n", "train.csv": b"q,a\ny,2\n"}, "test", [{"q": "x", "a": "1"}]),
        ({"my-dev.jsonl": jsonl([{"q": 1}]), "x/train_1.jsonl": jsonl([{"q": 2}])}, "validation", [{"q": 1}]),
        ({"my-dev.jsonl": jsonl([{"q": 1}])}, "dev", [{"q": 1}]),
        ({"dev/a.jsonl": jsonl([{"q": 1}]), "test/b.jsonl": jsonl([{"q": 2}])}, "test", [{"q": 2}]),
        ({"all.json": jsonl([{"q": 1}, {"q": 2}])}, None, [{"q": 1}, {"q": 2}]),  # JSON Lines under the name .json
        ({"latest.csv": b"q\nx\n"}, "train", [{"q": "x"}]),  # 'test' inside a word says nothing
        ({"test.csv": b"q\nx\n", "test.parquet": parquet([{"q": "y"}])}, "test", [{"q": "y"}]),  # the same twice: Parquet
        ({"data/hard-00000-of-00001-ab12.parquet": parquet([{"q": 5}])}, "hard", [{"q": 5}]),
    ],
)
def test_names_that_tell_the_split(hub, files, split, expected):
    hub.sets["o/n"] = {"main": files}
    assert read(hub="o/n", split=split).rows == expected


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ("configs:\n- config_name: default\n  data_files: items/*.jsonl\n", [1, 2]),
        ("configs:\n- config_name: a\n  data_dir: items\n", [1, 2]),
        ("configs:\n- config_name: a\n  data_dir: ./items\n  data_files:\n  - split: train\n    path: two.jsonl\n", [2]),
        ("configs:\n- config_name: a\n  data_files: {train: '**/two.jsonl'}\n", [2]),
        ("configs:\n- config_name: b\n  data_files: items/one.jsonl\n- config_name: a\n  default: true\n  data_files: ['items/t*']\n", [2]),
        ("configs:\n- config_name: 2024\n  data_files: items/[n-o]ne.jsonl\n", [1]),
    ],
)
def test_forms_of_data_files(hub, configs, expected):
    hub.sets["o/n"] = {"main": {"README.md": readme(configs), "items/one.jsonl": jsonl([{"q": 1}]), "items/two.jsonl": jsonl([{"q": 2}])}}
    assert [row["q"] for row in read(hub="o/n", split="train").rows] == expected


def test_a_file_of_the_repository_as_in_p_mmeval(hub):
    hub.sets["org/parallel"] = {
        "main": {
            "mmmlu/easy/test/mmlu_ES-LA.jsonl": jsonl([{"q": "fácil"}]),
            "mmmlu/hard/test/mmlu_ES-LA.jsonl": jsonl([{"q": "difícil"}]),
            "mmmlu/hard/test/mmlu_EN-US.jsonl": jsonl([{"q": "hard"}]),
            "dev.jsonl": jsonl([{"q": "example"}]),
        }
    }
    rows = read(hub="org/parallel", file="mmmlu/*/test/mmlu_ES-LA.jsonl", shots="dev.jsonl")
    assert [row["q"] for row in rows.rows] == ["fácil", "difícil"]
    assert [row["q"] for row in rows.shots] == ["example"]
    assert "mmlu_ES-LA.jsonl, commit" in rows.origin
    fails("has no file 'mmmlu/easy/test/mmlu_EN-LA.jsonl'; did you mean", hub="org/parallel", file="mmmlu/easy/test/mmlu_EN-LA.jsonl")


def test_arrow_of_saved_tables_as_in_mmlu_redux(hub):
    names = ("anatomy", "virology")
    files = {f"{name}/data-00000-of-00001.arrow": arrow(rows_of(name)) for name in names}
    configs = "".join(f"- config_name: {path.split('/')[0]}\n  data_files:\n  - split: test\n    path: {path}\n" for path in sorted(files))
    files |= {f"{name}/{of}.json": b"{}" for name in names for of in ("dataset_info", "state")}
    hub.sets["o/redux"] = {"main": {"README.md": readme(f"configs:\n{configs}"), **files}}
    assert read(hub="o/redux", config="virology", split="test").rows == rows_of("virology")


def test_tasks_name_the_file_where_only_a_script_tells_files_apart(hub):
    """The repositories of LAMBADA and AlpacaEval: a script, and files beside it of which names alone would take too many or none."""
    languages = {f"data/lambada_test{one}.jsonl": jsonl([{"text": f"passage{one} end"}]) for one in ("", "_de", "_en", "_es")}
    ((_, pinned),) = task_specs(["lambada"])
    hub.sets["EleutherAI/lambada_openai"] = {pinned.data.revision: {"README.md": b"# x", "lambada_openai.py": b"", **languages}}
    assert [item.target for item in load_task("lambada").items] == ["end"]
    row = {"instruction": "Say so.", "output": "So.", "generator": "gpt4_1106_preview", "dataset": "koala"}
    files = {f"alpaca_eval{one}.json": json.dumps([{**row, "output": one}]).encode() for one in ("", "_gpt4_baseline", "_all_outputs")}
    ((_, pinned),) = task_specs(["alpaca_eval"])
    hub.sets["tatsu-lab/alpaca_eval"] = {pinned.data.revision: {"README.md": b"# x", "alpaca_eval.py": b"", **files}}
    assert [item.fields["output"] for item in load_task("alpaca_eval").items] == ["_gpt4_baseline"]


def test_only_a_script_is_read_from_the_conversion(hub):
    converted = {f"{name}/{split}/0000.parquet": parquet(rows_of(name + split)) for name in ("en", "de") for split in ("train", "test")}
    hub.sets["o/script"] = {"main": {"script.py": b"", "README.md": b"# x"}, "refs/convert/parquet": converted}
    rows = read(hub="o/script", config="de", split="test")
    assert rows.rows == rows_of("detest")
    commit = hub.commit("o/script", "refs/convert/parquet")
    assert rows.origin == f"hub o/script@refs/convert/parquet de/test, commit {commit}"
    assert read(hub="o/script", config="de", split="test", revision=commit).rows == rows_of("detest")
    fails("only a script", f"revision: {commit}", hub="o/script", config="de", split="test", revision="main")
    hub.sets["o/alone"] = {"main": {"alone.py": b""}}
    fails("no data files", "refs/convert/parquet", hub="o/alone")


def test_a_commit_read_before_needs_no_server(hub):
    make_mmlu(hub)
    commit = hub.commit("cais/mmlu", "main")
    first = read(hub="cais/mmlu", config="anatomy", split="test", revision=commit)
    hub.asked.clear()
    assert read(hub="cais/mmlu", config="anatomy", split="test", revision=commit).rows == first.rows
    assert hub.asked == []


def test_offline_uses_what_was_read_and_nothing_else(hub, monkeypatch):
    make_mmlu(hub)
    first = read(hub="cais/mmlu", config="anatomy", split="test")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.asked.clear()
    assert read(hub="cais/mmlu", config="anatomy", split="test").rows == first.rows
    fails(
        "abstract_algebra/test-00000-of-00001.parquet was not fetched before",
        "HF_HUB_OFFLINE",
        hub="cais/mmlu",
        config="abstract_algebra",
        split="test",
    )
    fails("'o/other' at revision 'main' was not read before and HF_HUB_OFFLINE is set", hub="o/other")
    assert hub.asked == []


def test_a_branch_that_moves_is_read_again(hub):
    hub.sets["o/n"] = {"main": {"test.jsonl": jsonl([{"q": 1}])}}
    first = read(hub="o/n", split="test")
    hub.sets["o/n"]["main"] = {"test.jsonl": jsonl([{"q": 2}])}
    second = read(hub="o/n", split="test")
    assert (first.rows, second.rows) == ([{"q": 1}], [{"q": 2}])
    assert first.origin != second.origin


def test_messages(hub):
    make_mmlu(hub)
    fails("'cais/mmul' does not exist", hub.url, "hf auth login", hub="cais/mmul")
    fails("has no config 'anatomi'", "did you mean 'anatomy'?", "abstract_algebra, anatomy", hub="cais/mmlu", config="anatomi")
    fails("has no split of config 'anatomy' 'validation'", "there are test, dev", hub="cais/mmlu", config="anatomy", split="validation")
    fails("has several: name the split of config 'anatomy' under data.split; there are test, dev", hub="cais/mmlu", config="anatomy")
    fails("has no revision 'v2'", hub="cais/mmlu", config="anatomy", revision="v2")
    fails("expected a data set as 'org/name'", hub="a/b/c")
    hub.gated.add("cais/mmlu")
    fails("is gated", f"{hub.url}/datasets/cais/mmlu", "hf auth login", hub="cais/mmlu", config="anatomy", split="dev", revision="main")
    hub.broken.add("o/broken")
    fails(f"{hub.url} answered 418", hub="o/broken")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": readme("configs: 3\n"), "a.csv": b"q\nx\n"}, "expected 'configs' to be a list"),
        ({"README.md": readme("configs: [\n"), "a.csv": b"q\nx\n"}, "front matter of its README.md, line"),
        (
            {"README.md": readme("configs:\n- config_name: a\n  data_files: missing/*\n")},
            "names files for split 'train' that the repository does not have",
        ),
        ({"README.md": readme("configs:\n- config_name: a\n  data_files: https://x.org/a.csv\n")}, "outside the repository"),
        (
            {"README.md": readme("configs:\n- config_name: a\n  data_files: '*.zip'\n"), "a.zip": b"x"},
            "in files Proctor does not read (a.zip)",
        ),
        ({"train.jsonl": b'{"a": 1}\n{"a": \n'}, "o/n/train.jsonl line 2: not JSON"),
        ({"train.parquet": b"PAR1"}, "o/n/train.parquet: not Parquet"),
    ],
)
def test_wrong_repositories(hub, files, expected):
    hub.sets["o/n"] = {"main": files}
    fails(expected, hub="o/n", split="train")


def test_no_server(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    fails("http://127.0.0.1:9 cannot be reached", "HF_HUB_OFFLINE=1", hub="o/n")


def test_not_a_hub(hub, monkeypatch):
    monkeypatch.setattr(hub, "answer", lambda request: hub.send(request, 200, b"[1]"))
    fails("does not answer like a hub", hub="o/n")


def test_documents_and_judgements_are_configurations(hub):
    """As kaist-ai/InstructIR and the retrieval sets of mteb have them."""
    pytest.importorskip("ir_measures")
    card = "---\nconfigs:\n"
    for config, split in (("queries", "queries"), ("corpus", "corpus"), ("qrels", "test")):
        card += f"- config_name: {config}\n  data_files:\n  - split: {split}\n    path: {config}/{split}.jsonl\n"
    hub.sets["org/retrieval"] = {
        "main": {
            "README.md": f"{card}---\n".encode(),
            "queries/queries.jsonl": jsonl([{"_id": "7_1", "text": "who? [SEP] what?"}, {"_id": "8_1", "text": "not judged"}]),
            "corpus/corpus.jsonl": jsonl([{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "title": "", "text": "two"}]),
            "qrels/test.jsonl": jsonl([{"query-id": "7_1", "corpus-id": "d2", "score": 1}]),
        }
    }
    task = Task(
        task="t",
        data={"hub": "org/retrieval", "config": "queries", "split": "queries", "corpus": "corpus/corpus", "qrels": "qrels"},
        prompt="{{ text }}",
        response="rank",
    )
    assert [(item.id, item.target) for item in task.items] == [("7_1", {"d2": 1})]
    assert task.corpus.texts == ("T one", "two")
