import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.scoring.constraints import KINDS, Constraints, follows
from proctor.types import Item, Response


@pytest.mark.parametrize(
    ("constraint", "kept", "broken"),
    [
        ({"kind": "min_words", "count": 3}, "well-known don't go", "one two"),
        ({"kind": "max_words", "count": 3}, "well-known don't go", "a b c d"),
        ({"kind": "sentences", "at_least": 2, "at_most": 2}, "One. Two!", "One."),
        ({"kind": "sentences", "at_most": 2}, "1. One\n2. two", "One. Two? Three"),
        ({"kind": "sentences", "at_least": 2}, "这是。那是。", "3.5 is one"),
        ({"kind": "paragraphs", "at_least": 2, "at_most": 2}, "a\n\nb", "a\nb"),
        ({"kind": "bullets", "at_least": 2, "at_most": 2}, "- a\n* b", "- a\n--\n**b**"),
        ({"kind": "numbered_list", "at_least": 2}, "1. a\n2) b", "1. a\n3. b"),
        ({"kind": "lowercase"}, "été 12", "Été"),
        ({"kind": "uppercase"}, "ÉTÉ 12", "ÉTé"),
        ({"kind": "contains", "word": "sea", "times": 2}, "Sea, sea", "sea season"),
        ({"kind": "excludes", "words": ["sea", "high tide"]}, "season", "at High Tide"),
        ({"kind": "starts_with", "prefix": "Dear"}, "\nDear all", "dear all"),
        ({"kind": "ends_with", "suffix": "Bye."}, "so. Bye.\n", "Bye. So"),
        ({"kind": "json"}, '```json\n{"a": 1}\n```', "{'a': 1}"),
        ({"kind": "no_commas"}, "a b", "a，b"),
        ({"kind": "quoted"}, '"all of it"\n', '"all" of it'),
        ({"kind": "title"}, "<<My Day>>\nit was", "<< >> <My Day>"),
        ({"kind": "script", "name": "cyrillic"}, "Привет, мир 12", "Привет world"),
        ({"kind": "script", "name": "kana"}, "日本語です", "hello"),
    ],
)
def test_each_kind(constraint, kept, broken):
    assert follows(kept, constraint)
    assert not follows(broken, constraint)


def test_every_kind_is_tested_and_documented():
    tested = {mark.args[1][i][0]["kind"] for mark in test_each_kind.pytestmark for i in range(len(mark.args[1]))}
    assert tested == set(KINDS)
    assert all(function.__doc__ for function in KINDS.values())


def test_all_and_share_and_the_reason():
    item = Item("1", {}, target=[{"kind": "lowercase"}, {"kind": "max_words", "count": 2}, {"kind": "no_commas"}])
    measured = Constraints().measure("Now one, two", item, Response())
    assert measured.values == {"all": 0.0, "share": 0.0}
    measured = Constraints().measure("now, two", item, Response())
    assert measured.values == pytest.approx({"all": 0.0, "share": 2 / 3})
    assert measured.reason == "broken: no_commas()"
    assert Constraints().measure("now two", item, Response()).values == {"all": 1.0, "share": 1.0}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lowercase", "must be a list"),
        ([], "must be a list"),
        ([{"kind": "lowercase"}, {"kind": "max_word", "count": 2}], "constraint 2: no kind 'max_word'; did you mean 'max_words'"),
        ([{"kind": "max_words"}], "needs count"),
        ([{"kind": "max_words", "count": "two"}], "max_words.count: Expected `int`"),
        ([{"kind": "max_words", "count": 2, "tims": 1}], "no argument 'tims'"),
        ([{"kind": "bullets"}], "needs at_least or at_most"),
        ([{"kind": "script", "name": "latn"}], "did you mean 'LATIN'"),
        ([{}], "expected {kind"),
    ],
)
def test_wrong_targets(target, message):
    assert message in Constraints().check(Item("1", {}, target=target))


@given(st.text(max_size=100))
@settings(deadline=None)
def test_no_kind_raises(text):
    arguments = {"count": 1, "at_least": 1, "word": "a", "words": ["a"], "prefix": "a", "suffix": "a", "name": "latin"}
    for kind, function in KINDS.items():
        names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
        assert follows(text, {"kind": kind, **{name: arguments[name] for name in names if name in arguments}}) in (True, False)


def _like_ifeval(name, kwargs):
    return {
        "punctuation:no_comma": lambda: {"kind": "no_commas"},
        "detectable_format:json_format": lambda: {"kind": "json"},
        "startend:quotation": lambda: {"kind": "quoted"},
        "detectable_format:title": lambda: {"kind": "title"},
        "detectable_format:number_bullet_lists": lambda: {
            "kind": "bullets",
            "at_least": kwargs["num_bullets"],
            "at_most": kwargs["num_bullets"],
        },
        "keywords:forbidden_words": lambda: {"kind": "excludes", "words": kwargs["forbidden_words"]},
    }.get(name.removeprefix("en:"), lambda: None)()


def test_verdicts_of_ifevals_own_checkers(shared, shared_lines):
    """M-IFEval's published strict verdicts on three models' English responses, for the kinds that mean the same there."""
    prompts = shared_lines("m_ifeval/en_input_data.jsonl")
    with (shared / "m_ifeval/en_followed.csv").open(encoding="utf-8", newline="") as file:
        verdicts = {(row["model"], int(row["prompt_index"])): row["strict"] for row in csv.DictReader(file)}
    n = 0
    for row in shared_lines("m_ifeval/en_responses.jsonl"):
        prompt = prompts[row["prompt_index"]]
        bits = verdicts[row["model"], row["prompt_index"]]
        for name, kwargs, bit in zip(prompt["instruction_id_list"], prompt["kwargs"], bits, strict=True):
            constraint = _like_ifeval(name, kwargs)
            if constraint is not None:
                assert follows(row["response"], constraint) == (bit == "1"), (constraint, row["response"][:200])
                n += 1
    assert n == 723
