"""Documents and judgements: BEIR's folder, TREC's judgements, rows in the task file, and one message for each thing wrong."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proctor.errors import DataError, TaskError, UsageError
from proctor.tasks.load import load_suite, load_task
from proctor.tasks.sources.documents import make_corpus
from proctor.tasks.task import Task
from proctor.types import Rank

pytest.importorskip("ir_measures")
SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"

DOCUMENTS = [{"_id": "d1", "title": "One", "text": "first"}, {"_id": "d2", "text": "second"}, {"_id": "d3", "title": "", "text": "third"}]
QUERIES = [{"_id": "q1", "text": "what?"}, {"_id": "q2", "text": "who?"}, {"_id": "q3", "text": "not judged"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td3\t0\nq2\td2\t1\n"


def folder(path, qrels=QRELS, split="test"):
    (path / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "qrels" / f"{split}.tsv").write_text(qrels)
    return path


def task(**keys):
    data = {"items": QUERIES, "corpus": DOCUMENTS, "qrels": [{"qid": "q1", "pid": "d1", "score": 1}], **keys.pop("data", {})}
    return Task(**{"task": "t", "data": data, "prompt": "{{ text }}", "response": "rank", **keys})


def test_a_beir_folder_without_a_task_file(tmp_path):
    found = load_task(f"beir:{folder(tmp_path / 'tiny set')}")
    assert found.name == "tiny-set"
    assert [item.id for item in found.items] == ["q1", "q2"]  # what is not judged is not asked
    assert found.items[0].target == {"d1": 2, "d3": 0}
    assert found.corpus.texts == ("One first", "second", "third")
    request = found.request(found.items[0])
    assert request == Rank("what?", found.corpus.hash)
    assert found.scoring.protocol["scorers"][0]["options"]["same_id"] == "drop"


def test_another_split_and_a_folder_that_is_none(tmp_path):
    place = folder(tmp_path / "s", split="dev")
    assert len(load_suite(f"beir:{place}#dev").tasks[0].items) == 2
    with pytest.raises(UsageError, match=r"qrels/test.tsv; expected .*it has judgements of: dev"):
        load_task(f"beir:{place}")
    with pytest.raises(UsageError, match=r"expected corpus.jsonl, queries.jsonl and qrels/test.tsv"):
        load_task(f"beir:{tmp_path}")


def test_judgements_under_trecs_and_instructirs_names(tmp_path):
    (tmp_path / "a.qrels").write_text("q1 0 d1 1\n\nq2 0 d3 2\n")
    (tmp_path / "b.tsv").write_text("qid\tpid\tscore\nq1\td1\t1\nq2\td3\t2\n")
    for file in ("a.qrels", "b.tsv"):
        assert [item.target for item in task(data={"qrels": file}, base=tmp_path).items] == [{"d1": 1}, {"d3": 2}]


def test_judgements_that_stand_in_the_rows():
    rows = [{"id": "q1", "text": "?", "answers": ["d2", "d3"]}]
    found = Task(task="t", data={"items": rows, "corpus": DOCUMENTS}, item={"target": "answers"}, prompt="{{ text }}", response="rank")
    assert found.items[0].target == ["d2", "d3"]


def test_instruction_candidates_and_top_k_reach_the_request():
    rows = [{"id": "q1", "text": "what?", "wish": "only the first", "of": ["d2", "d1"]}]
    found = task(
        data={"items": rows},
        item={"candidates": "of"},
        prompt={"template": "{{ text }}", "instruction": "{{ wish }}", "delimiter": " [SEP] "},
        response={"kind": "rank", "top_k": 5},
    )
    request = found.request(found.items[0])
    assert (request.candidates, request.top_k) == (("d2", "d1"), 5)
    assert request.text == "only the first [SEP] what?"


def test_the_protocol_holds_the_documents():
    one = task()
    other = task(data={"corpus": [*DOCUMENTS, {"_id": "d4", "text": "more"}]})
    turned = task(data={"corpus": DOCUMENTS[::-1]})
    assert one.protocol_hash != other.protocol_hash
    assert one.protocol_hash == turned.protocol_hash
    assert one.limited(1).corpus is one.corpus


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"corpus": [{"text": "no id"}]}, r"data.corpus row 1: no column for the id"),
        ({"corpus": [{"_id": "d1"}]}, r"no column for the text"),
        ({"corpus": [DOCUMENTS[0], DOCUMENTS[0]]}, r"row 2: the id 'd1' is already that of another document"),
        ({"qrels": [{"qid": "q1", "pid": "d9", "score": 1}]}, r"none of the documents judged is in data.corpus; one of them is 'd9'"),
        ({"qrels": [{"qid": "q9", "pid": "d1", "score": 1}]}, r"judges none of the queries; one of them is 'q9'"),
        ({"qrels": [{"qid": "q1", "pid": "d1", "score": 0.5}]}, r"expected a grade that is a whole number"),
        ({"qrels": [{"qid": "q1", "pid": "d1"}]}, r"no column for the grade"),
        ({"qrels": "missing.tsv"}, r"data.qrels: no such file"),
        ({"items": [{**QUERIES[0], "target": "x"}]}, r"the row has a column 'target'"),
        ({"qrels": [{"qid": "q1", "pid": "d1", "score": 0}]}, r"no document is judged relevant to it"),
    ],
)
def test_what_cannot_be_is_one_message(data, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        task(data=data, base=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_line_of_trec_that_is_none(tmp_path):
    (tmp_path / "a.qrels").write_text("q1 0 d1 1\nq1 d1 1\n")
    with pytest.raises(DataError, match=r"a\.qrels line 2: 3 values, expected 4"):
        task(data={"qrels": "a.qrels"}, base=tmp_path)


def test_candidates_must_be_documents():
    with pytest.raises(DataError, match=r"the candidate 'd7' is not in data\.corpus"):
        task(data={"items": [{**QUERIES[0], "of": ["d7"]}]}, item={"candidates": "of"})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"response": "generate", "scoring": "f1"}, "data.corpus: belongs to response.kind: rank"),
        ({"prompt": {"template": "{{ text }}", "system": "s"}}, "prompt.system: belongs to other kinds of response"),
        ({"prompt": {"template": "{{ text }}", "shots": 2}}, "prompt.shots: belongs to other kinds"),
        ({"response": {"kind": "rank", "max_tokens": 5}}, "response.max_tokens: belongs to generated text"),
        ({"response": {"kind": "rank", "top_k": 0}}, "response.top_k: expected 1 or more"),
        ({"data": {"corpus": None}}, "data.corpus: the key is missing"),
    ],
)
def test_keys_that_do_not_go_together(keys, message):
    with pytest.raises(TaskError, match=message):
        task(**keys)


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1), st.randoms())
def test_a_corpus_is_named_by_its_contents(documents, rng):
    pairs = list(documents.items())
    hash_of = make_corpus(*zip(*pairs, strict=True)).hash
    rng.shuffle(pairs)
    assert make_corpus(*zip(*pairs, strict=True)).hash == hash_of
    pairs[0] = (pairs[0][0], pairs[0][1] + "x")
    assert make_corpus(*zip(*pairs, strict=True)).hash != hash_of


def test_the_judgements_of_instructir_are_read_as_they_are():
    qrels = SHARED / "instructir" / "INSTRUCTIR" / "qrels" / "for_only_query_test.tsv"
    if not qrels.exists():
        pytest.skip("the judgements of InstructIR are not here")
    queries = qrels.parent.parent / "only_queries.jsonl"
    documents = sorted({line.split("\t")[1] for line in qrels.read_text().splitlines()[1:]})
    found = Task(
        task="t",
        data={"files": str(queries), "qrels": str(qrels), "corpus": [{"_id": name, "text": name} for name in documents]},
        prompt="{{ text }}",
        response="rank",
    )
    assert len(found.items) == 1267
    assert sum(len(item.target) for item in found.items) == 9906
