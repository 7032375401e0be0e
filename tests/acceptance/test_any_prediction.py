"""The task files of `docs/how-to/use-predictions.md` as written, on drawn data, against scikit-learn and others; and real results."""

import csv
import json
import os
import random
import re
from pathlib import Path

import jiwer
import numpy as np
import pytest
import sacrebleu
import seqeval.metrics as seqeval
from sklearn.metrics import cohen_kappa_score, f1_score, log_loss, matthews_corrcoef, roc_auc_score

import proctor
from proctor.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "use-predictions.md").read_text(encoding="utf-8")
SHARED = Path(os.environ.get("PROCTOR_SHARED", ROOT.parent / "shared")) / "data"


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Writes rows beside the page's task file of a name, and answers as predictions; gives every metric (value, standard error) by task."""
    monkeypatch.chdir(tmp_path)

    def scored(name, rows, answers):
        block = next(body for body in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if f"task: {name}\n" in body)
        Path(f"{name}.yaml").write_text(block, encoding="utf-8")
        write(Path(re.search(r"^data: (\S+)", block, re.MULTILINE)[1]), rows)
        write(Path("answers.jsonl"), [{"item": str(item), "answer": answer} for item, answer in answers.items()])
        (run,) = proctor.run(f"{name}.yaml", "predictions:answers.jsonl", out="st")
        assert run.manifest.totals["states"]["failed"] == 0
        return {one.task: {m.name: (m.value, m.stderr) for m in one.metrics} for one in run.manifest.tasks}

    return scored


def write(path, rows):
    if path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def value(found, name):
    number, stderr = found[name]
    assert stderr is not None
    assert stderr > 0
    return number


def test_sleep(scored):
    draw, stages = random.Random(0), ["W", "N1", "N2", "N3", "REM"]
    truth = [draw.choice(stages) for _ in range(120)]
    said = [one if draw.random() < 0.7 else draw.choice(stages) for one in truth]
    rows = [{"id": place, "night": f"n{place // 20}", "stage": one} for place, one in enumerate(truth)]
    found = scored("sleep", rows, dict(enumerate(said)))["sleep"]
    assert next(iter(found)) == "kappa"
    assert value(found, "kappa") == pytest.approx(cohen_kappa_score(truth, said))
    assert value(found, "macro_f1") == pytest.approx(f1_score(truth, said, average="macro"))
    assert value(found, "f1_REM") == pytest.approx(f1_score(truth, said, labels=["REM"], average=None)[0])


def test_emotion(scored):
    draw = np.random.default_rng(0)
    truth = draw.uniform(-1, 1, (50, 2)).round(3)
    rows = [{"id": place, "valence": one[0], "arousal": one[1]} for place, one in enumerate(truth)]
    said = (truth[:, 0] + draw.normal(0, 0.3, 50)).round(3)
    found = scored("emotion", rows, dict(enumerate(said.tolist())))
    for place, name in enumerate(("valence", "arousal")):
        x, y = said, truth[:, place]
        ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert value(found[f"emotion/{name}"], "ccc") == pytest.approx(ccc)


def test_grades(scored):
    draw, grades = random.Random(1), ["none", "mild", "moderate", "severe", "proliferative"]
    truth = [draw.randrange(5) for _ in range(60)]
    said = [min(4, max(0, one + draw.choice([-1, 0, 0, 1]))) for one in truth]
    rows = [{"id": place, "grade": grades[one]} for place, one in enumerate(truth)]
    found = scored("retina", rows, {place: grades[one] for place, one in enumerate(said)})["retina"]
    assert value(found, "qwk") == pytest.approx(cohen_kappa_score(truth, said, weights="quadratic"))


def test_clicks(scored):
    draw = np.random.default_rng(2)
    users, truth = draw.integers(0, 12, 150), draw.integers(0, 2, 150)
    said = np.clip(0.3 + 0.2 * truth + 0.2 * draw.normal(size=150), 0.01, 0.99).round(4)
    rows = [{"id": place, "user": f"u{user}", "click": click} for place, (user, click) in enumerate(zip(users, truth, strict=True))]
    found = scored("clicks", rows, dict(enumerate(said.tolist())))["clicks"]
    assert value(found, "auc") == pytest.approx(roc_auc_score(truth, said))
    assert value(found, "log_loss") == pytest.approx(log_loss(truth, said))
    weights = [(users == one).sum() for one in range(12)]
    areas = [roc_auc_score(truth[users == one], said[users == one]) for one in range(12)]
    assert value(found, "gauc") == pytest.approx(np.average(areas, weights=weights))


def test_words(scored):
    rows = [{"id": place, "sentence": f"Zin {place}.", "word": "die" if place % 3 else "dat"} for place in range(30)]
    found = scored("die_dat", rows, {place: "Die" if place % 2 else "dat" for place in range(30)})["die_dat"]
    assert value(found, "accuracy") == pytest.approx(sum((place % 3 > 0) == (place % 2 > 0) for place in range(30)) / 30)


def test_tags(scored):
    draw, tags = random.Random(3), ["O", "O", "B-PER", "I-PER", "B-LOC"]
    truth = [[draw.choice(tags) for _ in range(draw.randint(2, 8))] for _ in range(25)]
    said = [[one if draw.random() < 0.8 else draw.choice(tags) for one in each] for each in truth]
    rows = [{"id": place, "tokens": ["x"] * len(each), "tags": each} for place, each in enumerate(truth)]
    found = scored("names", rows, dict(enumerate(said)))["names"]
    assert value(found, "entity_f1") == pytest.approx(seqeval.f1_score(truth, said))


def test_quality(scored):
    draw = random.Random(4)
    truth = [[draw.choice(["OK", "BAD"]) for _ in range(6)] for _ in range(20)]
    said = [[one if draw.random() < 0.7 else "OK" for one in each] for each in truth]
    rows = [{"id": place, "tags": each, "score": each.count("OK")} for place, each in enumerate(truth)]
    found = scored("words", rows, {place: " ".join(each) for place, each in enumerate(said)})["words"]
    flat = [one for each in truth for one in each], [one for each in said for one in each]
    assert value(found, "token_mcc") == pytest.approx(matthews_corrcoef(*flat))
    found = scored("sentences", rows, {place: each.count("OK") for place, each in enumerate(said)})["sentences"]
    assert set(found) >= {"spearman", "pearson", "kendall"}
    assert value(found, "kendall") > 0.3


def test_the_others(scored):
    rows = [{"id": 1, "text": "a b", "spans": [[0, 1, "Process"]]}, {"id": 2, "text": "c", "spans": [[0, 1, "Task"]]}]
    assert scored("keyphrases", rows, {1: [[0, 1, "Process"]], 2: [[0, 1, "Process"]]})["keyphrases"]["span_f1"][0] == 0.5
    rows = [{"id": place, "source": "Zin", "reference": f"the cat sat on mat number {place}"} for place in range(4)]
    said = {place: f"the cat sat on a mat number {place}" for place in range(4)}
    found = scored("translation", rows, said)["translation"]
    expected = sacrebleu.corpus_bleu([*said.values()], [[row["reference"] for row in rows]]).score
    assert value(found, "bleu") == pytest.approx(expected)
    truth = ["Nobody's here!", "to be or not"]
    rows = [{"id": place, "transcript": one} for place, one in enumerate(truth)]
    found = scored("speech", rows, {0: "nobodys there", 1: "to bee not"})["speech"]
    assert found["wer"][0] == pytest.approx(jiwer.wer(["nobodys here", "to be or not"], ["nobodys there", "to bee not"]))
    rows = [{"id": 1, "genres": ["drama", "war"]}, {"id": 2, "genres": ["war"]}]
    assert scored("genres", rows, {1: ["War"], 2: "war"})["genres"]["micro_f1"][0] == pytest.approx(4 / 5)
    rows = [{"id": 1, "objects": [{"label": "cat", "box": [0, 0, 10, 10]}]}]
    assert scored("objects", rows, {1: [{"label": "cat", "box": [0, 0, 10, 8], "score": 0.5}]})["objects"]["map"][0] == pytest.approx(0.7)
    np.save("17.npy", np.array([[0, 1], [255, 1]]))
    found = scored("streets", [{"id": 1, "map": "17.npy"}], {1: [[0, 1], [1, 0]]})["streets"]
    assert found["miou"][0] == pytest.approx((1 / 2 + 1 / 2) / 2)


def suggestions(gold, predicted):
    """The authors' `score.py`: micro precision, recall and F0.5 of detection and end to end, accuracy of the first suggestion."""
    right = found = given = suited = 0
    for name, entry in gold.items():
        of_gold = {tuple(place): words for place, words, _ in entry["substitutes"]}
        of_system = {tuple(one[:2]): one[2] for one in predicted[name]}
        both = of_gold.keys() & of_system.keys()
        right, found, given = right + len(both), found + len(of_system), given + len(of_gold)
        suited += sum(of_system[place] in of_gold[place] for place in both)

    def figures(hits):
        p, r = hits / found, hits / given
        return [p, r, 1.25 * p * r / (0.25 * p + r)]

    return figures(right), figures(suited), suited / right


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data (PROCTOR_SHARED)")
def test_smart_word_suggestions(scored, tmp_path):
    """The 200 real sentences of the validation set; a system that errs in place and word, scored as its authors' script does."""
    gold = json.loads((SHARED / "smart_word_suggestions/data/sws/sws_eval.json").read_text(encoding="utf-8"))
    draw = random.Random(0)
    predicted = {}
    for name, entry in gold.items():
        said = {}
        for place, words, _ in entry["substitutes"]:
            if draw.random() < 0.6:
                said[tuple(place)] = draw.choice([*words]) if draw.random() < 0.5 else "thing"
        for start in range(len(entry["sentence_split"])):
            if draw.random() < 0.05:
                said.setdefault((start, start + 1), "other")
        predicted[name] = [[*place, word] for place, word in said.items()]
    Path("sws_test.json").write_text(json.dumps(gold))
    found = scored("smart_word_suggestions", gold, predicted)["smart_word_suggestions"]
    detection, end_to_end, accuracy = suggestions(gold, predicted)
    assert [value(found, f"place_{name}") for name in ("precision", "recall", "f0.5")] == pytest.approx(detection)
    assert [value(found, f"span_{name}") for name in ("precision", "recall", "f0.5")] == pytest.approx(end_to_end)
    assert value(found, "label_accuracy") == pytest.approx(accuracy)
    perfect = {name: [[*place, next(iter(words))] for place, words, _ in entry["substitutes"]] for name, entry in gold.items()}
    assert scored("smart_word_suggestions", gold, perfect)["smart_word_suggestions"]["span_f0.5"][0] == 1


# % resolved, as SWE-bench's leaderboard prints them.
VERIFIED = {
    "20241029_OpenHands-CodeAct-2.1-sonnet-20241022": 53.0,
    "20240620_sweagent_claude3.5sonnet": 33.6,
    "20240402_sweagent_gpt4": 22.4,
    "20241022_tools_claude-3-5-sonnet-updated": 49.0,
    "20240402_rag_gpt4": 2.8,
    "20231010_rag_gpt35": 0.4,
    "20250110_blackboxai_agent_v1.1": 62.8,
}
LITE = {
    "20240402_sweagent_gpt4": 18.0,
    "20240620_sweagent_claude3.5sonnet": 23.0,
    "20240630_agentless_gpt4o": 27.33,
    "20240402_rag_gpt4": 2.67,
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data (PROCTOR_SHARED)")
@pytest.mark.parametrize(("subset", "instances", "published"), [("verified", 500, VERIFIED), ("lite", 300, LITE)])
def test_swe_bench(tmp_path, monkeypatch, subset, instances, published):
    """Systems' verdicts give the leaderboard's figures, through the shipped task file; of Lite, with that file's data set mapped to it."""
    monkeypatch.chdir(tmp_path)
    folder = SHARED / "swebench_resolved"
    ids = json.loads((folder / f"{subset}_dataset.json").read_text())["instance_ids"]
    resolved = {name: one["resolved_submissions"] for name, one in json.loads((folder / "resolved_submissions.json").read_text()).items()}
    write(Path("ids.csv"), [{"instance_id": one} for one in ids])
    Path("map.yaml").write_text("princeton-nlp/SWE-bench_Verified: ids.csv\n")
    for name, figure in published.items():
        write(Path("verdicts.jsonl"), [{"item": one, "answer": "resolved" if name in resolved.get(one, ()) else "no"} for one in ids])
        (run,) = proctor.run("swe_bench_verified", "predictions:verdicts.jsonl", out="st", data="map.yaml")
        (task,) = run.manifest.tasks
        assert task.items == instances
        assert round(100 * task.main.value, 2) == figure, name
        assert task.groups == 12  # repositories
        assert task.main.stderr > 0


def test_estimators_and_delta_m_as_the_page_says(tmp_path, monkeypatch, capsys):
    """The page's two task files, its own estimator and its commands; 30 targets of which most rows have but some."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "how-to" / "train-estimators.md").read_text(encoding="utf-8")
    wine, assay = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    Path("wine.yaml").write_text(wine)
    Path("assay.yaml").write_text(assay.replace("[liver, heart, kidney]", f"[{', '.join(f't{place}' for place in range(30))}]"))
    Path("shared.py").write_text(re.search(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1])
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(3, 8)).T @ draw.normal(size=(3, 30))  # targets that share three directions
    for name, count in (("train", 80), ("test", 60)):
        x = draw.normal(size=(count, 8)).round(3)
        y = x @ weights + draw.normal(size=(count, 30)) * 2 > 0
        gaps = draw.random(y.shape) < 0.5
        rows = [{"id": f"{name}{place}", **{f"x{one}": value for one, value in enumerate(x[place])}} for place in range(count)]
        for place, row in enumerate(rows):
            row.update({f"t{one}": "" if gap else int(there) for one, (there, gap) in enumerate(zip(y[place], gaps[place], strict=True))})
            row.update(acidity=row["x0"], sugar_a=row["x1"], colour="red" if y[place, 0] else "white", quality=round(float(x[place, 1]), 2))
        write(Path(f"{name}.csv"), rows)
    models = ["sklearn:sklearn.linear_model:LogisticRegression?C=0.1", "sklearn:shared:Shared?joint=true"]
    single, joint = proctor.run("assay.yaml", models, out="st")
    assert len(single.manifest.tasks) == 31  # and the group of all
    assert (single.manifest.model_info["estimators"], joint.manifest.model_info["estimators"]) == (30, 1)
    assert single.manifest.totals["states"]["failed"] == joint.manifest.totals["states"]["failed"] == 0
    monkeypatch.setattr("sys.argv", ["proctor", "compare", *models, "--delta-m", "--store", "st", "--format", "json"])
    with pytest.raises(SystemExit):
        main()
    (document,) = json.loads(capsys.readouterr().out)
    assert len(document["tasks"]) == 30
    areas = [{one.task: one.main.value for one in run.manifest.tasks[:30]} for run in (single, joint)]
    assert document["delta_m"] == pytest.approx(np.mean([areas[1][task] / areas[0][task] - 1 for task in areas[0]]))
    assert 0 < document["stderr"] < 0.05
    (tmp_path / "mine.py").write_text(
        "from sklearn.compose import ColumnTransformer\nfrom sklearn.linear_model import Ridge\n"
        "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import OneHotEncoder\n\n\ndef ridge():\n"
        "    return make_pipeline(ColumnTransformer([('colour', OneHotEncoder(), [2])], remainder='passthrough'), Ridge(0.1))\n"
    )
    (run,) = proctor.run("wine.yaml", "sklearn:mine:ridge", out="st")
    assert run.manifest.tasks[0].main.value > 0.9
