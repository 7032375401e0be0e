"""Estimators: trained on `data.shots`, one for each task or one for all, against scikit-learn called directly."""

import csv
import textwrap
from typing import ClassVar

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score, mean_absolute_error, roc_auc_score
from sklearn.naive_bayes import BernoulliNB
from sklearn.pipeline import make_pipeline

import proctor
from proctor.errors import ModelError
from proctor.models.estimator import EstimatorModel
from proctor.models.open import open_model


def data(seed=0, n=60):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).round(3)
    return x, x @ np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]]) + rng.normal(size=(n, 2))


def write(path, x, targets):
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "a", "b", "c", *targets])
        for place, row in enumerate(zip(x, *targets.values(), strict=True)):
            out.writerow([f"{path.stem}{place}", *row[0], *row[1:]])


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Two numbers, whether each is above 0, and a class of three to predict; and what was written."""
    monkeypatch.chdir(tmp_path)
    made = {}
    for name, seed in (("train", 0), ("test", 1)):
        x, y = data(seed)
        kinds = np.array(["low", "mid", "high"])[np.digitize(y[:, 0], [-1, 1])]
        targets = {"y": y[:, 0], "z": y[:, 1], "up": (y[:, 0] > 0).astype(int), "over": (y[:, 1] > 0).astype(int), "kind": kinds}
        write(tmp_path / f"{name}.csv", x, targets)
        made[name] = (x, targets)
    return made


def tasks(folder, targets, scoring, more=""):
    (folder / "t.yaml").write_text(
        textwrap.dedent(f"""
        task: t
        each: {{target: [{targets}]}}
        data: {{files: test.csv, shots: train.csv}}
        item: {{features: [a, b, c], target: "{{{{ target | column }}}}", skip_empty: true}}
        prompt: "{{{{ a }}}} {{{{ b }}}} {{{{ c }}}}"
        scoring: {scoring}
        {more}
        """)
    )
    return "t.yaml"


def results(run):
    assert run.manifest.state == "complete"
    return {one.task.removeprefix("t/"): {m.name: m.value for m in one.metrics} for one in run.manifest.tasks}


def test_regression_of_each_target(tables, tmp_path):
    (run,) = proctor.run(tasks(tmp_path, "y, z", "regression"), "sklearn:sklearn.linear_model:LinearRegression", out="st")
    (x, train), (x_test, test) = tables["train"], tables["test"]
    for name in ("y", "z"):
        expected = LinearRegression().fit(x, train[name]).predict(x_test)
        assert results(run)[name]["mae"] == pytest.approx(mean_absolute_error(test[name], expected))
    assert run.manifest.model_info["estimators"] == 2
    assert run.manifest.model_info["features"] == 3


def test_one_for_all_targets(tables, tmp_path):
    name = tasks(tmp_path, "y, z", "regression")
    (run,) = proctor.run(name, "sklearn:sklearn.ensemble:RandomForestRegressor?joint=true&random_state=0&n_estimators=10", out="st")
    (x, train), (x_test, test) = tables["train"], tables["test"]
    from sklearn.ensemble import RandomForestRegressor

    expected = RandomForestRegressor(random_state=0, n_estimators=10).fit(x, np.c_[train["y"], train["z"]]).predict(x_test)
    for place, target in enumerate(("y", "z")):
        assert results(run)[target]["mae"] == pytest.approx(mean_absolute_error(test[target], expected[:, place]))
    assert run.manifest.model_info["estimators"] == 1


def test_labels_and_probabilities(tables, tmp_path):
    (x, train), (x_test, test) = tables["train"], tables["test"]
    (run,) = proctor.run(tasks(tmp_path, "kind", "classification"), "sklearn:sklearn.linear_model:LogisticRegression", out="st")
    expected = LogisticRegression().fit(x, train["kind"]).predict(x_test)
    assert results(run)["kind"]["accuracy"] == pytest.approx(accuracy_score(test["kind"], expected))
    name = tasks(tmp_path, "up", "probability")
    (run,) = proctor.run(name, "sklearn:sklearn.linear_model:LogisticRegression", out="st")
    expected = LogisticRegression().fit(x, train["up"]).predict_proba(x_test)[:, 1]
    assert results(run)["up"]["auc"] == pytest.approx(roc_auc_score(test["up"], expected))
    # Without probabilities the scores of the decision serve, in their order.
    (run,) = proctor.run(name, "sklearn:sklearn.linear_model:RidgeClassifier", out="st")
    expected = RidgeClassifier().fit(x, train["up"]).decision_function(x_test)
    assert results(run)["up"]["auc"] == pytest.approx(roc_auc_score(test["up"], expected))


def test_probabilities_of_one_for_all(tables, tmp_path):
    (x, train), (x_test, test) = tables["train"], tables["test"]
    name = tasks(tmp_path, "up, over", "probability")
    (run,) = proctor.run(name, "sklearn:sklearn.ensemble:RandomForestClassifier?joint=true&random_state=3", out="st")
    fitted = RandomForestClassifier(random_state=3).fit(x, np.c_[train["up"], train["over"]])
    for place, target in enumerate(("up", "over")):
        expected = fitted.predict_proba(x_test)[place][:, 1]
        assert results(run)[target]["auc"] == pytest.approx(roc_auc_score(test[target], expected))


class Gaps:
    """Remembers what it was given."""

    seen: ClassVar[list] = []

    def fit(self, x, y):
        self.seen.append((x, y))

    def predict(self, x):
        return np.zeros((len(x), 2))

    predict_proba = predict


def test_rows_of_equal_features_are_one_and_gaps_are_nan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "test.csv", [[0, 0, 0]], {"y": [1], "z": [0]})
    write(tmp_path / "train.csv", [[1, 1, ""], [2, 2, 2], [2, 2, 2]], {"y": ["1", "0", "1"], "z": ["", "1", "0"]})
    Gaps.seen = []
    proctor.run(tasks(tmp_path, "y, z", "probability"), EstimatorModel(Gaps, "gaps", joint=True), out="st")
    x, y = Gaps.seen[0]
    np.testing.assert_array_equal(x, [[1, 1, np.nan], [2, 2, 2], [2, 2, 2]])
    np.testing.assert_array_equal(y, [[1, np.nan], [0, 1], [1, 0]])


def test_one_column_of_text_is_a_list_of_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [("Ik weet dat.", "dat"), ("De kat die slaapt.", "die"), ("Het huis dat.", "dat"), ("De man die.", "die")]
    for name in ("test", "train"):
        (tmp_path / f"{name}.csv").write_text("text,word\n" + "".join(f"{text},{word}\n" for text, word in rows))
    (tmp_path / "w.yaml").write_text(
        'task: words\ndata: {files: test.csv, shots: train.csv}\nitem: {target: word}\nprompt: "{{ text }}"\nscoring: classification\n'
    )
    model = EstimatorModel(lambda: make_pipeline(CountVectorizer(), BernoulliNB()), "bag of words")
    (run,) = proctor.run("w.yaml", model, out="st")
    assert run.manifest.tasks[0].main.value == 1


def test_choices_are_answered_by_letter_and_labels_by_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "a,b,right,tags\n" + "".join(f"{i % 2},{i},{'yes' if i % 2 else 'no'},{'odd;big' if i % 2 else 'big'}\n" for i in range(12))
    for name in ("test.csv", "train.csv"):
        (tmp_path / name).write_text(rows)
    shared = "data: {files: test.csv, shots: train.csv}\nprompt: '{{ a }} {{ b }}'\n"
    (tmp_path / "c.yaml").write_text(f"task: c\n{shared}item: {{target: right, choices: ['no', 'yes']}}\nresponse: choice\n")
    (tmp_path / "m.yaml").write_text(f"task: m\n{shared}item: {{target: tags}}\nscoring: multilabel\n")
    runs = [proctor.run(name, "sklearn:sklearn.tree:DecisionTreeClassifier?random_state=0", out="st")[0] for name in ("c.yaml", "m.yaml")]
    assert [run.manifest.tasks[0].main.value for run in runs] == [1, 1]


def test_a_run_that_was_stopped_goes_on_with_all_tasks_learnt(tables, tmp_path):
    """A joint estimator must be given all tasks even where only some attempts are left."""
    name = tasks(tmp_path, "y, z", "regression")
    uri = "sklearn:sklearn.linear_model:LinearRegression?joint=true"
    suite = proctor.load_suite(name)
    model = open_model(uri)
    model.begin(suite.tasks)
    item = suite.tasks[1].items[0]
    from proctor.models.base import Ask

    ((_, response),) = model.answer([Ask(0, "t/z", item, 0, suite.tasks[1].request(item))])
    x, train = tables["train"]
    expected = LinearRegression().fit(x, np.c_[train["y"], train["z"]]).predict(tables["test"][0][:1])[0, 1]
    assert float(response.text) == pytest.approx(expected)


def test_a_fit_that_fails_fails_its_task_alone(tables, tmp_path):
    (tmp_path / "train.csv").write_text("id,a,b,c,up,over\np,1,2,3,1,0\nq,2,1,3,1,1\n")
    (run,) = proctor.run(tasks(tmp_path, "up, over", "probability"), "sklearn:sklearn.linear_model:LogisticRegression", out="st")
    states = {one.task: one.states["failed"] for one in run.manifest.tasks}
    assert (states["t/up"], states["t/over"]) == (60, 0)
    attempts = run.attempts()
    assert "ValueError: This solver needs samples of at least 2 classes" in attempts.filter(attempts["task"] == "t/up")["error"][0]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sklearn:sklearn.linear_model", "expected sklearn:MODULE:FACTORY"),
        ("sklearn:sklearn.linear_model:Rigde", "has no 'Rigde'; did you mean 'Ridge'?"),
        ("sklearn:sklearn.linear_model:Ridge?alhpa=1", "unexpected keyword argument 'alhpa'"),
        ("sklearn:sklearn.linear_model:Ridge?joint=maybe", "option joint=maybe"),
        ("sklearn:collections:OrderedDict", "which has no methods fit and predict"),
    ],
)
def test_mistakes_in_the_name(uri, message):
    with pytest.raises(ModelError) as said:
        open_model(uri)
    assert message in str(said.value)


def test_mistakes_in_the_tasks(tables, tmp_path):
    ridge = "sklearn:sklearn.linear_model:Ridge"
    path = tmp_path / tasks(tmp_path, "kind", "regression")
    with pytest.raises(Exception, match="the target must be a number"):
        proctor.run(path, ridge, out="st")
    path.write_text("task: u\ndata: {files: test.csv}\nitem: {target: y}\nprompt: '{{ a }}'\nscoring: regression\n")
    with pytest.raises(ModelError, match=r"no rows to learn from; name them with data\.shots"):
        proctor.run(path, ridge, out="st")
    path.write_text("task: u\ndata: {files: test.csv, shots: train.csv}\nitem: {target: y}\nprompt: 'a?'\nscoring: regression\n")
    with pytest.raises(ModelError, match="no features"):
        proctor.run(path, ridge, out="st")


def test_fingerprints_tell_settings_apart():
    ridge = "sklearn:sklearn.linear_model:Ridge"
    prints = {open_model(uri).fingerprint for uri in (ridge, f"{ridge}?alpha=2", f"{ridge}?joint=true")}
    assert len(prints) == 3
    assert open_model(ridge).fingerprint in prints
