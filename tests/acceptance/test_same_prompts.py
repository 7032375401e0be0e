"""The same exam for everyone: prompts never depend on what else is asked, and the protocol's hash changes with what matters only."""

import hashlib
import random
from pathlib import Path

import pytest

import proctor
from proctor.engine.plan import Settings, fit
from proctor.models.base import Ask, Model
from proctor.results.columns import request_hash
from proctor.scoring.text import ExactMatch
from proctor.tasks.load import suite_spec
from proctor.types import Generate, Response

CORE = [entry.task for entry in suite_spec("core").tasks]
CHOOSE = {
    "random": {"shots": 3, "choose": "random", "seed": 5},
    "first": {"shots": 3, "choose": "first"},
    "stratified": {"shots": 3, "choose": "stratified"},
    "fixed": {"choose": "fixed", "ids": ["i03", "i17", "i08"], "shots": 3},
}


def rows(n=30):
    return [{"id": f"i{k:02}", "q": f"{k} mod 3", "target": str(k % 3)} for k in range(n)]


def few_shot(choose: str, **keys) -> proctor.Task:
    return proctor.Task(
        task="mod",
        data=keys.pop("data", rows()),
        prompt={"template": "{{ q }} =", **CHOOSE[choose]},
        response={"kind": "generate", "temperature": 0.7, "epochs": 2},
        scoring="exact_match",
        **keys,
    )


def asked(*tasks: proctor.Task) -> dict[tuple[str, int], str]:
    """Hash of what is asked, for every item and epoch."""
    found = {}
    for task in tasks:
        for item in task.items:
            for epoch in range(task.epochs):
                assert (item.id, epoch) not in found
                found[item.id, epoch] = request_hash(task.request(item, epoch), epoch)
    return found


def fitted(task: proctor.Task, **settings) -> proctor.Task:
    suite = proctor.Suite("s", [proctor.tasks.suite.Weighted(task)])
    return fit(suite, Settings(**settings), frozenset({"generate", "likelihood"})).tasks[0]


@pytest.fixture(scope="module", params=[*CORE, *CHOOSE])
def task(request):
    return few_shot(request.param) if request.param in CHOOSE else proctor.load_task(request.param)


def test_prompts_do_not_depend_on_what_else_is_asked(task):
    whole = asked(task)
    assert len(whole) == len(task.items) * task.epochs
    assert asked(task) == whole

    limited = asked(fitted(task, limit=7))
    assert len(limited) == 7 * task.epochs
    assert limited.items() <= whole.items()

    ids = [item.id for item in task.items]
    shuffled = random.Random(1).sample(ids, len(ids))
    assert [item.id for item in task.only(shuffled).items] == shuffled
    assert asked(task.only(shuffled)) == whole
    assert task.only(shuffled).protocol_hash == task.protocol_hash

    half = len(ids) // 2
    assert asked(task.only(ids[:half]), task.only(ids[half:])) == whole


@pytest.mark.parametrize("choose", ["random", "stratified", "fixed"])
def test_prompts_do_not_depend_on_the_order_of_the_data(choose):
    """`first` is about that order and so is left out."""
    reordered = few_shot(choose, data=random.Random(2).sample(rows(), 30))
    assert asked(reordered) == asked(few_shot(choose))
    assert reordered.protocol_hash == few_shot(choose).protocol_hash


def test_the_order_matters_to_first():
    reordered = few_shot("first", data=rows()[::-1])
    assert asked(reordered) != asked(few_shot("first"))
    assert reordered.protocol_hash != few_shot("first").protocol_hash


class Hashing(Model):
    """Answers anything, by a hash of the request alone; backwards, so that the order of answers differs from that of the questions."""

    uri = fingerprint = "python:hashing"
    kinds = frozenset({"generate", "likelihood"})

    def answer(self, asks):
        for ask in reversed(list(asks)):
            yield ask, self._respond(ask)

    def _respond(self, ask: Ask) -> Response:
        digest = hashlib.sha256(request_hash(ask.request, ask.epoch).encode()).digest()
        if isinstance(ask.request, Generate):
            return Response(text=f"{'ABCD'[digest[0] % 4]} {digest[1] % 10}", output_tokens=3)
        shape = ask.request.prompts, ask.request.continuations
        values = tuple(tuple(-float(digest[(i * 7 + j) % 32]) for j in range(len(shape[1]))) for i in range(len(shape[0])))
        return Response(loglikelihoods=values, greedy=tuple((False,) * len(shape[1]) for _ in shape[0]), token_counts=(1,) * len(shape[1]))


def test_the_same_suite_on_the_same_model_twice_gives_the_same_scores(tmp_path):
    # Without code_writing: its sandbox is slow, and tests/scoring runs it.
    names = [f"builtin:{name}" for name in CORE if name != "code_writing"]
    (one,) = proctor.run(names, Hashing(), limit=6, out=tmp_path / "one")
    (two,) = proctor.run(names, Hashing(), limit=6, out=tmp_path / "two")
    assert [(t.task, t.protocol_hash, t.metrics, t.states, t.items) for t in one.manifest.tasks] == [
        (t.task, t.protocol_hash, t.metrics, t.states, t.items) for t in two.manifest.tasks
    ]
    assert len({t.main.value for t in one.manifest.tasks}) > 2
    assert one.manifest.signature == two.manifest.signature
    columns = ["task", "item", "epoch", "request", "request_hash", "text", "score", "answer", "state"]
    assert one.attempts().select(columns).equals(two.attempts().select(columns))


FILE = {
    "task": "capitals",
    "data": [
        {"id": "a", "q": "France", "target": "Paris"},
        {"id": "b", "q": "Italy", "target": "Rome"},
        {"id": "c", "q": "Spain", "target": "Madrid"},
    ],
    "prompt": {"template": "Capital of {{ q }}?", "shots": 1},
    "response": {"kind": "generate", "max_tokens": 8},
    "scoring": {"extract": "text", "metrics": ["exact_match"]},
}


def built(**changes) -> proctor.Task:
    return proctor.Task(**(FILE | changes))


def prompt(**keys):
    return {"prompt": FILE["prompt"] | keys}


def response(**keys):
    return {"response": FILE["response"] | keys}


def changed_row(**keys):
    return {"data": [FILE["data"][0] | keys, *FILE["data"][1:]]}


CHANGES = {
    "an item's text": changed_row(q="Frankreich"),
    "an item's answer": changed_row(target="Lyon"),
    "an item's id": changed_row(id="z"),
    "an item more": {"data": [*FILE["data"], {"id": "d", "q": "Peru", "target": "Lima"}]},
    "an item less": {"data": FILE["data"][:2]},
    "template": prompt(template="The capital of {{ q }}?"),
    "white space of the template": prompt(template="Capital of {{ q }}? "),
    "system": prompt(system="Be brief."),
    "prefill": prompt(prefill="It is"),
    "style": prompt(style="plain"),
    "delimiter": prompt(delimiter="\n"),
    "separator": prompt(separator="\n"),
    "shots": prompt(shots=2),
    "no shots": prompt(shots=0),
    "choice of shots": prompt(choose="first"),
    "shots as text": prompt(shots_as="text"),
    "seed": prompt(seed=1),
    "max_tokens": response(max_tokens=9),
    "temperature": response(temperature=0.5),
    "stop": response(stop=["\n"]),
    "epochs": response(epochs=2),
    "extraction": {"scoring": {"extract": "first_line", "metrics": ["exact_match"]}},
    "thinking": {"scoring": FILE["scoring"] | {"thinking": "keep"}},
    "scorer": {"scoring": "f1"},
    "another scorer beside": {"scoring": ["exact_match", "f1"]},
    "version": {"version": 2},
    "name": {"task": "capital"},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_matters_changes_the_protocol(what):
    assert built(**CHANGES[what]).protocol_hash != built().protocol_hash


def test_all_those_protocols_differ_from_each_other():
    assert len({built(**change).protocol_hash for change in CHANGES.values()}) == len(CHANGES)


def test_a_scorers_options_and_version_change_the_protocol(monkeypatch):
    plain = built(scoring=["bleu"]).protocol_hash
    assert built(scoring=[{"bleu": {"lowercase": True}}]).protocol_hash != plain
    assert built(scoring=[{"bleu": {}}]).protocol_hash == plain
    before = built().protocol_hash
    monkeypatch.setattr(ExactMatch, "version", ExactMatch.version + 1)
    assert built().protocol_hash != before


def test_a_choice_tasks_options_change_the_protocol():
    def pick(choices, **keys):
        data = [{"id": "a", "q": "?", "choices": choices, "target": 0}]
        keys = {"kind": "choice", **keys}
        return proctor.Task(task="pick", data=data, item={"choices": "choices"}, prompt="{{ q }}", response=keys).protocol_hash

    hashes = [
        pick(["x", "y"]),
        pick(["y", "x"]),
        pick(["x", "y", "z"]),
        pick(["x", "y"], by="text"),
        pick(["x", "y"], by="text", normalise="char"),
        pick(["x", "y"], by="generate"),
    ]
    assert len(set(hashes)) == len(hashes)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Capitals"},
        {"description": "Of countries."},
        {"domain": "knowledge"},
        {"capabilities": ["knowledge"]},
        {"languages": ["de"]},
        {"licence": "CC0-1.0"},
        {"citation": "Nobody (2020)"},
        {"human": 0.9},
        {"data": FILE["data"][::-1]},
        {"scoring": "exact_match"},
        {"data": {"items": FILE["data"]}},
    ],
    ids=str,
)
def test_what_does_not_matter_does_not(change):
    assert built(**change).protocol_hash == built().protocol_hash
    assert asked(built(**change)) == asked(built())


def test_the_same_task_from_a_file_and_from_python_has_the_same_protocol(tmp_path):
    (tmp_path / "capitals.csv").write_text("id,q,target\na,France,Paris\nb,Italy,Rome\nc,Spain,Madrid\n")
    (tmp_path / "capitals.yaml").write_text(
        "task: capitals\ndata: capitals.csv\nprompt: {template: 'Capital of {{ q }}?', shots: 1}\n"
        "response: {max_tokens: 8}\nscoring: exact_match\n"
    )
    found = proctor.load_task(Path(tmp_path / "capitals.yaml"))
    assert found.protocol_hash == built().protocol_hash
    assert asked(found) == asked(built())
