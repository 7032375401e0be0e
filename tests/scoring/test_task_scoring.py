import subprocess
import sys

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.canonical import canonical_json
from proctor.errors import DataError, TaskError
from proctor.scoring.base import Measured, Metric, Scorer
from proctor.scoring.registry import SCORERS, make_scorer, scorer_class
from proctor.scoring.task_scoring import compile_scoring
from proctor.tasks.spec import ResponseSpec, ScoringSpec
from proctor.types import STATES, Generate, Item, Likelihood, Prompt, Response

ASK = Generate(Prompt())
NUMBER = Item("1", {}, target="42")
CHOICE = Item("c", {}, ("yes", "no way", "maybe"), 1)


def numeric(**kwargs):
    return compile_scoring(ScoringSpec(metrics=["numeric"], **kwargs), ResponseSpec(), "t.yaml")


@pytest.mark.parametrize(
    ("response", "state", "value", "answer"),
    [
        (Response(text="It is 42."), "scored", 1.0, "42"),
        (Response(text="It is 41."), "scored", 0.0, "41"),
        (Response(text="It is 42", finish="length"), "truncated", 1.0, "42"),
        (Response(text="It is", finish="length"), "truncated", 0.0, None),
        (Response(text="Who knows."), "unparsed", 0.0, None),
        (Response(text=""), "unparsed", 0.0, None),
        (Response(text="<think>42"), "unparsed", 0.0, None),
        (Response(text="<think>42", finish="length"), "truncated", 0.0, None),
        (Response(text="<think>41</think>42"), "scored", 1.0, "42"),
        (Response(text="I'm sorry, but I can't help with that."), "refused", 0.0, None),
        (Response(text="I'm sorry, but I can't help with that. Call 42."), "scored", 1.0, "42"),
        (Response(text="", finish="refused"), "refused", 0.0, None),
        (Response(finish="error", error="HTTP 500"), "failed", 0.0, None),
    ],
)
def test_states(response, state, value, answer):
    score = numeric().score(NUMBER, ASK, response)
    assert (score.state, score.values, score.answer) == (state, {"numeric": value}, answer)
    assert score.reason or value == 1


def test_stated_answer_is_not_truncated():
    scoring = numeric(extract=[{"regex": r"is (\d+)\."}])
    assert scoring.score(NUMBER, ASK, Response(text="It is 42. And so", finish="length")).state == "scored"


def test_thinking_kept_where_the_task_says_so():
    scoring = numeric(thinking="keep")
    assert scoring.score(NUMBER, ASK, Response(text="<think>42")).answer == "42"


def test_choice_by_likelihood():
    request = Likelihood((Prompt(),), CHOICE.choices)
    response = Response(loglikelihoods=((-3.0, -4.0, -5.0),))
    plain = compile_scoring(ScoringSpec(), ResponseSpec(kind="choice", by="text"), "t.yaml")
    score = plain.score(CHOICE, request, response)
    assert (score.state, score.answer, score.values["acc"]) == ("scored", "A", 0.0)
    by_char = compile_scoring(ScoringSpec(), ResponseSpec(kind="choice", by="text", normalise="char"), "t.yaml")
    score = by_char.score(CHOICE, request, response)
    assert (score.answer, score.values["acc"]) == ("B", 1.0)
    assert by_char.protocol != plain.protocol
    assert plain.score(CHOICE, request, Response(finish="error", error="x")).values == {"acc": 0.0, "p_true": 0.0}
    assert plain.score(CHOICE, request, Response(text="B")).state == "failed"


def test_choice_scored_as_classification_and_text_too():
    scoring = compile_scoring(ScoringSpec(metrics=["choice", "classification", "exact_match"]), ResponseSpec(kind="choice"), "t.yaml")
    scoring.check([CHOICE])
    score = scoring.score(CHOICE, Likelihood((Prompt(),), ("A", "B", "C")), Response(loglikelihoods=((-3.0, -1.0, -5.0),)))
    assert score.values["acc"] == score.values["accuracy"] == score.values["exact_match"] == 1
    assert [metric.name for metric in scoring.metrics] == [
        "acc",
        "p_true",
        *("accuracy", "macro_f1", "mcc", "weighted_f1", "micro_f1", "balanced_accuracy", "kappa"),
        "exact_match",
    ]


def test_choice_by_generation():
    scoring = compile_scoring(ScoringSpec(), ResponseSpec(kind="choice", by="generate"), "t.yaml")
    assert [metric.name for metric in scoring.metrics] == ["acc"]
    assert scoring.score(CHOICE, ASK, Response(text="The answer is (B).")).values == {"acc": 1.0}
    assert scoring.score(CHOICE, ASK, Response(text="no way")).answer == "B"
    assert scoring.score(CHOICE, ASK, Response(text="Hm.")).state == "unparsed"


def test_perplexity():
    scoring = compile_scoring(ScoringSpec(), ResponseSpec(kind="perplexity"), "t.yaml")
    item = Item("1", {}, target="abcd")
    score = scoring.score(item, Likelihood((Prompt(),), ("abcd",)), Response(loglikelihoods=((-4.0,),)))
    assert (score.state, score.answer, score.values["bytes"]) == ("scored", None, 4.0)
    assert scoring.score(item, ASK, Response(finish="error", error="x")).values == {}


def test_each_scorer_finds_its_own_answer_and_the_first_sets_the_state():
    scoring = compile_scoring(ScoringSpec(metrics=["numeric", {"contains": {"need": "all"}}]), ResponseSpec(), "t.yaml")
    score = scoring.score(Item("1", {}, target="42"), ASK, Response(text="forty-two"))
    assert (score.state, score.values) == ("unparsed", {"numeric": 0.0, "contains": 0.0})
    score = scoring.score(Item("1", {}, target="42"), ASK, Response(text="42 it is"))
    assert (score.state, score.values, score.answer) == ("scored", {"numeric": 1.0, "contains": 1.0}, "42")


def test_check_names_the_item():
    with pytest.raises(DataError, match="item 'bad': numeric: the target must be a number"):
        numeric().check([NUMBER, Item("bad", {}, target="none")])


@pytest.mark.parametrize(
    ("spec", "response", "message"),
    [
        ({}, {}, "generated text needs a scorer; there are: "),
        ({"metrics": ["numerc"]}, {}, "no scorer is called 'numerc'; did you mean 'numeric'? there are: "),
        ({"metrics": [{"numeric": {"absolut": 1}}]}, {}, "no option 'absolut'; did you mean 'absolute'"),
        ({"metrics": [{"numeric": {"absolute": "1"}}]}, {}, "numeric.absolute: Expected `float`, got `str`"),
        ({"metrics": [{"numeric": 3}]}, {}, "expects options"),
        ({"metrics": [{"contains": {"need": "some"}}]}, {}, "contains.need: Invalid enum value 'some'"),
        ({"metrics": [{"numeric": {"absolute": -1}}]}, {}, "tolerances"),
        ({"metrics": ["python"]}, {}, "needs the option 'function'"),
        ({"metrics": [{"python": "nowhere_at_all:f"}]}, {}, "cannot import"),
        ({"metrics": [7]}, {}, "expected a scorer's name"),
        ({"metrics": ["f1", "f1"]}, {}, "both report the metric 'f1'"),
        ({"metrics": ["f1"], "extract": ["leter"]}, {}, "did you mean 'letter'"),
        ({"metrics": ["choice"]}, {}, "needs the response kind 'choice'"),
        ({"metrics": ["perplexity"]}, {}, "cannot score the response kind 'generate'"),
        ({"metrics": ["f1"]}, {"kind": "perplexity"}, "cannot score the response kind 'perplexity'"),
    ],
)
def test_wrong_specifications_have_one_clear_message(spec, response, message):
    with pytest.raises(TaskError) as error:
        compile_scoring(ScoringSpec(**spec), ResponseSpec(**response), "t.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("t.yaml: scoring.")
    assert "\n" not in str(error.value)


def test_protocol_fills_in_defaults_and_notices_changes():
    def protocol(*metrics, **kwargs):
        return canonical_json(compile_scoring(ScoringSpec(metrics=list(metrics), **kwargs), ResponseSpec(), "t.yaml").protocol)

    assert protocol("numeric") == protocol({"numeric": {"absolute": 0}}) == protocol("numeric", extract=["number"])
    different = {protocol("numeric"), protocol({"numeric": {"absolute": 1}}), protocol("f1"), protocol("numeric", extract=["text"])}
    assert len(different | {protocol("numeric", thinking="keep")}) == 5


def test_protocol_holds_the_source_of_a_python_scorer(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    protocols = []
    for name, body in (("scoring_one", "return 1"), ("scoring_two", "return 0")):
        (tmp_path / f"{name}.py").write_text(f"def f(answer, item):\n    {body}\n")
        scoring = compile_scoring(ScoringSpec(metrics=[{"python": f"{name}:f"}]), ResponseSpec(), "t.yaml")
        protocols.append(scoring.protocol["scorers"][0]["identity"])
    assert len(set(protocols)) == 2


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_every_scorer_resolves_states_its_metrics_and_has_canonical_options(name):
    cls = scorer_class(name, "t")
    assert cls.name == name
    assert cls.__doc__
    argument = {
        "python": "math:sqrt",
        "cruxeval": {"predict": "output"},
        "judge_categories": {"categories": {"yes": 1, "no": 0}},
        "judge_pairwise": {"against": "answer"},
    }.get(name)
    scorer, options = make_scorer(cls, argument, "t")
    canonical_json(options)
    assert scorer.metrics
    for metric in scorer.metrics:
        assert (metric.statistics is None) == (metric.value is None)
    item = Item("1", {"answer": "1", "metadata": {"source_dataset": "leg_counting"}}, ("a", "b"), 0)
    targets = {"spans": [[0, 1]], "squad": ["red"]}
    if name in targets:
        item = msgspec.structs.replace(item, target=targets[name])
    if name == "bbq":
        columns = {
            "context_condition": "ambig",
            "question_polarity": "neg",
            "answer_info": {f"ans{place}": ["", group] for place, group in enumerate(("old", "young", "unknown"))},
            "additional_metadata": {"stereotyped_groups": ["old"]},
        }
        item = msgspec.structs.replace(item, fields=columns, choices=("a", "b", "unknown"))
    worst = scorer.unanswered(item)
    # Not wrong but left out, unless an option says as what it counts; or counted as a guess.
    left_out = {"brier", "unread", "order_consistent", "acc_guessed"}
    for metric in scorer.metrics:
        if metric.is_mean and metric.bounds is not None and metric.name not in left_out:
            assert worst[metric.name] == metric.bounds[0 if metric.higher_is_better else 1]


class Length(Scorer):
    """A scorer of another package."""

    name = "length"
    metrics = (Metric("length", bounds=None),)

    def measure(self, answer, item, response):
        return Measured({"length": float(len(answer))})


def test_scorers_of_other_packages_come_by_entry_point(tmp_path, monkeypatch):
    folder = tmp_path / "length-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: length\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(
        "[proctor.scorers]\nlength = their_scorers:Length\nbroken = their_scorers:Nothing\nno = json:dumps\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "their_scorers", sys.modules[__name__])
    scoring = compile_scoring(ScoringSpec(metrics=["length"]), ResponseSpec(), "t.yaml")
    assert scoring.score(NUMBER, ASK, Response(text=" four ")).values == {"length": 4.0}
    with pytest.raises(TaskError, match=r"'broken'.*cannot be imported"):
        compile_scoring(ScoringSpec(metrics=["broken"]), ResponseSpec(), "t.yaml")
    with pytest.raises(TaskError, match="'no' is not a scorer"):
        compile_scoring(ScoringSpec(metrics=["no"]), ResponseSpec(), "t.yaml")


@given(
    st.text(max_size=80),
    st.sampled_from(["stop", "length", "refused", "error"]),
    st.sampled_from(["numeric", "f1", "exact_match", "quasi_exact", "contains", "classification"]),
)
@settings(deadline=None)
def test_any_text_gets_exactly_one_state_and_every_mean_metric(text, finish, name):
    scoring = compile_scoring(ScoringSpec(metrics=[name]), ResponseSpec(), "t.yaml")
    score = scoring.score(NUMBER, ASK, Response(text=text, finish=finish))
    assert score.state in STATES
    assert all(metric.name in score.values for metric in scoring.metrics if metric.statistics is None)
    assert msgspec.json.decode(msgspec.json.encode(score), type=type(score)) == score


def test_compiling_a_scoring_imports_nothing_heavy():
    code = (
        "import sys; from proctor.scoring.task_scoring import compile_scoring; from proctor.tasks.spec import ScoringSpec, ResponseSpec\n"
        "compile_scoring(ScoringSpec(), ResponseSpec(kind='choice'), 't')\n"
        "compile_scoring(ScoringSpec(metrics=['numeric']), ResponseSpec(), 't')\n"
        "print([m for m in ('numpy', 'polars', 'torch', 'sympy', 'sacrebleu', 'jinja2', 'aiohttp') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
