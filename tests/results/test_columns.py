"""attempts.parquet: readable by whoever reads Parquet, every response whole, written complete or not at all."""

import json

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from proctor.errors import StoreError
from proctor.results import attempts
from proctor.results.attempts import write_attempts
from proctor.results.columns import RESPONSE_COLUMNS, request_hash, response_of, row, schema
from proctor.types import Exchange, Generate, Item, Likelihood, Message, Prompt, Ranked, Response, Score

# The columns as the reference documents them, and how each reader calls their types.
TEXTS = {
    "exchanges",
    "retry_reasons",
    "run",
    "suite",
    "model",
    "task",
    "protocol",
    "item",
    "group",
    "state",
    "metrics",
    "answer",
    "target",
    "reason",
    "text",
    "finish",
}
TEXTS |= {"error", "served_by", "request", "request_hash", "metadata"}
WHOLES = {"cut_tokens", "epoch", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "retries"}
NUMBERS = {"score", "cost", "started_at", "latency", "first_token"}
ORDER = [
    "run",
    "suite",
    "model",
    "task",
    "protocol",
    "item",
    "group",
    "epoch",
    "state",
    "score",
    "metrics",
    "answer",
    "target",
    "reason",
    "text",
    "loglikelihoods",
    "greedy",
    "token_counts",
    "finish",
    "error",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "started_at",
    "latency",
    "retries",
    "served_by",
    "reused",
    "request",
    "request_hash",
    "metadata",
    "cut_tokens",
    "first_token",
    "retry_reasons",
    "hedged",
    "exchanges",
    "ranking",
]
CONSTANTS = {"run": "r", "suite": "s", "model": "m", "task": "t", "protocol": "p", "reused": False}
ITEM = Item("i0", {"q": "?"}, ("x", "y"), 1, "g", {"level": 3})
ASK = Likelihood((Prompt((Message("user", "?"),)),), ("A", "B"))
LIKELIHOODS = Response(loglikelihoods=((-0.5, -1.25),), greedy=((True, False),), token_counts=(1, 2), input_tokens=7, latency=0.25)
TEXT = Response(text="ja — «ß» 🦉\n", output_tokens=4, cost=0.001, served_by="x-1", retries=2, started_at=1.5e9)
FAILED = Response(finish="error", error="HTTP 500 after 6 tries: it broke")


def rows(responses):
    for number, response in enumerate(responses):
        ask = ASK if response.loglikelihoods else Generate(Prompt((Message("user", "?"),)))
        item = Item(f"i{number}", ITEM.fields, ITEM.choices, ITEM.target, ITEM.group, ITEM.metadata)
        score = Score("failed", {}, None, response.error) if response.error else Score("scored", {"accuracy": 1.0, "f1": 0.5}, "B", "right")
        yield row(item, 0, ask, response, score, "accuracy", CONSTANTS)


@pytest.fixture
def path(tmp_path):
    write_attempts(tmp_path / "attempts.parquet", rows([LIKELIHOODS, TEXT, FAILED]))
    return tmp_path / "attempts.parquet"


def test_polars_reads_the_documented_columns(path):
    frame = pl.read_parquet(path)
    assert frame.columns == ORDER
    for name, kind in frame.schema.items():
        expected = {
            "reused": pl.Boolean(),
            "hedged": pl.Boolean(),
            "loglikelihoods": pl.List(pl.List(pl.Float64())),
            "greedy": pl.List(pl.List(pl.Boolean())),
            "token_counts": pl.List(pl.Int64()),
            "ranking": pl.List(pl.Struct({"id": pl.String(), "score": pl.Float64()})),
        }.get(name) or (pl.String() if name in TEXTS else pl.Int64() if name in WHOLES else pl.Float64())
        assert kind == expected, name
    assert {"reused", "hedged", "loglikelihoods", "greedy", "token_counts", "ranking"} | TEXTS | WHOLES | NUMBERS == set(ORDER)
    assert dict(frame.schema) == schema()


def test_duckdb_reads_them(path):
    found = duckdb.sql(f"select * from '{path}'")
    kinds = dict(zip(found.columns, map(str, found.types), strict=True))
    assert list(kinds) == ORDER
    nested = {"reused": "BOOLEAN", "hedged": "BOOLEAN", "loglikelihoods": "DOUBLE[][]", "greedy": "BOOLEAN[][]", "token_counts": "BIGINT[]"}
    nested["ranking"] = "STRUCT(id VARCHAR, score DOUBLE)[]"
    plain = dict.fromkeys(TEXTS, "VARCHAR") | dict.fromkeys(WHOLES, "BIGINT") | dict.fromkeys(NUMBERS, "DOUBLE")
    assert kinds == {name: (nested | plain)[name] for name in ORDER}
    query = f"select item, loglikelihoods[1][2], metrics->>'f1', metadata->>'level', state from '{path}' order by item"
    assert duckdb.sql(query).fetchall() == [
        ("i0", -1.25, "0.5", "3", "scored"),
        ("i1", None, "0.5", "3", "scored"),
        ("i2", None, None, "3", "failed"),
    ]


def test_pandas_and_pyarrow_read_them(path):
    table = pq.read_table(path)
    assert table.column_names == ORDER
    for field in table.schema:
        if field.name in TEXTS:
            assert pa.types.is_string(field.type) or pa.types.is_large_string(field.type), field
        elif field.name in WHOLES:
            assert field.type == pa.int64(), field
        elif field.name in NUMBERS:
            assert field.type == pa.float64(), field
    assert table["loglikelihoods"].to_pylist() == [[[-0.5, -1.25]], None, None]
    frame = pd.read_parquet(path, engine="pyarrow")
    assert list(frame.columns) == ORDER
    assert frame["text"].tolist()[1] == TEXT.text
    assert frame["score"].tolist()[:2] == [1.0, 1.0]
    assert pd.isna(frame["score"][2])
    assert frame["error"].tolist()[2] == FAILED.error
    assert json.loads(frame["request"][0])["continuations"] == ["A", "B"]


def test_a_rows_values(path):
    found = pl.read_parquet(path).row(0, named=True)
    assert found["target"] == "1"
    assert json.loads(found["metrics"]) == {"accuracy": 1.0, "f1": 0.5}
    assert found["request_hash"] == request_hash(ASK, 0)
    assert request_hash(ASK, 0) != request_hash(ASK, 1)
    assert (found["run"], found["group"], found["reason"]) == ("r", "g", "right")


finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(0, 2**62)
unicode_text = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def matrices(draw, of):
    width = draw(st.integers(1, 4))
    return tuple(tuple(draw(of) for _ in range(width)) for _ in range(draw(st.integers(1, 3))))


responses = st.builds(
    Response,
    text=st.none() | unicode_text,
    loglikelihoods=st.none() | matrices(finite),
    greedy=st.none() | matrices(st.booleans()),
    token_counts=st.none() | st.lists(st.integers(0, 9999), max_size=5).map(tuple),
    finish=st.sampled_from(["stop", "length", "refused", "error"]),
    error=st.none() | unicode_text,
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
    reasoning_tokens=counts,
    cost=st.none() | finite,
    started_at=finite,
    latency=finite,
    retries=st.integers(0, 1000),
    served_by=st.none() | unicode_text,
    first_token=st.none() | finite,
    retry_reasons=st.none() | unicode_text,
    hedged=st.booleans(),
    ranking=st.none() | st.lists(st.builds(Ranked, id=unicode_text, score=finite), max_size=4).map(tuple),
    exchanges=st.lists(
        st.builds(
            Exchange,
            name=unicode_text,
            request=st.sampled_from([ASK, Generate(Prompt((Message("user", "?"),)), stop=("\n",))]),
            response=st.builds(Response, text=unicode_text, loglikelihoods=st.none() | matrices(finite), latency=finite),
            by=unicode_text,
        ),
        max_size=2,
    ).map(tuple),
)


def test_every_field_of_a_response_has_a_column():
    assert set(RESPONSE_COLUMNS) == set(Response.__struct_fields__)
    assert set(RESPONSE_COLUMNS) <= set(schema())


@given(one=responses)
@settings(deadline=None, max_examples=200)
def test_a_response_comes_back_from_its_row(one):
    values = row(ITEM, 0, ASK, one, Score("scored", {"accuracy": 1.0}), "accuracy", CONSTANTS)
    assert response_of(values) == one


@given(several=st.lists(responses, min_size=1, max_size=5))
@settings(deadline=None, max_examples=40)
def test_a_response_comes_back_from_parquet(several, tmp_path_factory):
    path = tmp_path_factory.mktemp("p") / "a.parquet"
    write_attempts(path, (row(ITEM, 0, ASK, one, Score("scored", {}), "accuracy", CONSTANTS) for one in several))
    assert [response_of(values) for values in pl.read_parquet(path).iter_rows(named=True)] == several


nested = st.none() | st.lists(st.lists(finite, max_size=3).map(tuple), max_size=3).map(tuple)


@given(values=st.lists(nested, max_size=8))
@settings(deadline=None)
def test_lists_of_every_shape_are_as_polars_makes_them(values):
    kind = schema()["loglikelihoods"]
    assert attempts._lists("x", values, kind).to_list() == pl.Series("x", values, kind).to_list()
    flat = [None if value is None else tuple(len(row) for row in value) for value in values]
    counts = attempts._lists("x", flat, schema()["token_counts"])
    assert counts.to_list() == pl.Series("x", flat, schema()["token_counts"]).to_list()
    assert counts.dtype == schema()["token_counts"]


def test_long_prompts_make_smaller_blocks(tmp_path, monkeypatch):
    given_rows = list(rows([TEXT] * 9))
    write_attempts(tmp_path / "one.parquet", given_rows)
    monkeypatch.setattr(attempts, "CHARACTERS_AT_ONCE", 3 * len(given_rows[0]["request"]))
    write_attempts(tmp_path / "several.parquet", given_rows)
    assert pq.ParquetFile(tmp_path / "one.parquet").num_row_groups == 1
    assert pq.ParquetFile(tmp_path / "several.parquet").num_row_groups >= 3
    assert_frame_equal(pl.read_parquet(tmp_path / "one.parquet"), pl.read_parquet(tmp_path / "several.parquet"))


@pytest.mark.parametrize("count", [0, 1, 3, 6, 7])
def test_several_blocks_equal_one(count, tmp_path, monkeypatch):
    # The first block has no likelihoods at all: its columns must have their types all the same.
    mixed = [TEXT, FAILED, TEXT, LIKELIHOODS, FAILED, LIKELIHOODS, TEXT][:count]
    write_attempts(tmp_path / "one.parquet", rows(mixed))
    monkeypatch.setattr(attempts, "ROWS_AT_ONCE", 3)
    write_attempts(tmp_path / "several.parquet", rows(mixed))
    one, several = pl.read_parquet(tmp_path / "one.parquet"), pl.read_parquet(tmp_path / "several.parquet")
    assert_frame_equal(one, several)
    assert one["item"].to_list() == [f"i{k}" for k in range(count)]
    assert one.columns == several.columns == ORDER
    assert sorted(one.name for one in tmp_path.iterdir()) == ["one.parquet", "several.parquet"]


@pytest.mark.parametrize("rows_at_once", [2, 100])
def test_nothing_half_written_when_the_rows_fail(rows_at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(attempts, "ROWS_AT_ONCE", rows_at_once)
    path = tmp_path / "attempts.parquet"
    path.write_bytes(b"before")

    def failing():
        yield from rows([TEXT] * 5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_attempts(path, failing())
    assert [one.name for one in tmp_path.iterdir()] == ["attempts.parquet"]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("rows_at_once", [2, 100])
def test_nothing_half_written_when_the_disk_refuses(rows_at_once, tmp_path, monkeypatch):
    """A folder in the way of the partial file stands in for a disk that refuses."""
    monkeypatch.setattr(attempts, "ROWS_AT_ONCE", rows_at_once)
    path = tmp_path / "attempts.parquet"
    path.mkdir()
    (path / "x").write_text("x")
    with pytest.raises(StoreError, match=r"attempts.parquet: cannot be written: .*nothing answered is lost"):
        write_attempts(path, rows([TEXT] * 5))
    assert [one.name for one in tmp_path.iterdir()] == ["attempts.parquet"]
    with pytest.raises(StoreError, match="cannot be written"):
        write_attempts(tmp_path / "nowhere" / "attempts.parquet", rows([TEXT] * 5))


def test_a_full_disk_leaves_nothing(tmp_path):
    """A limit on file size stands in for a full disk: the same system call fails in the same way."""
    import resource
    import signal

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    incompressible = [Response(text=request_hash(ASK, k) * 20) for k in range(3000)]
    given_rows = list(rows(incompressible))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write_attempts(tmp_path / "attempts.parquet", given_rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []
