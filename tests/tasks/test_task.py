"""A task and what can be made of it: fewer items, other settings, another kind of response."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor import Suite, Task, load_task
from proctor.engine.plan import Settings, fit
from proctor.errors import DataError, ModelError, ProctorError, TaskError
from proctor.tasks.suite import Weighted
from proctor.types import Generate, Response


def rows(n):
    return [{"id": f"i{k:02}", "q": f"word {k}", "target": f"w{k % 4}"} for k in range(n)]


def words(n=20, **keys) -> Task:
    return Task(**({"task": "words", "data": rows(n), "prompt": "{{ q }}", "scoring": "exact_match"} | keys))


def picks(template="{{ q }}\n\n{{ options }}\n\nAnswer:", response="choice", targets=(0, 1), **keys) -> Task:
    data = [{"id": f"p{k}", "q": f"q{k}", "c": ["x", "y", "z", "u"][: 2 + k], "target": t} for k, t in enumerate(targets)]
    return Task(**({"task": "picks", "data": data, "item": {"choices": "c"}, "prompt": template, "response": response} | keys))


def test_a_task_from_python():
    task = words(2)
    assert repr(task) == "Task('words', 2 items)"
    assert repr(words(1)) == "Task('words', 1 item)"
    assert (task.source, task.epochs, task.needs_likelihood, task.chance) == ("python", 1, False, 0.0)
    assert [item.id for item in task.items] == ["i00", "i01"]
    assert task.items[1].fields["q"] == "word 1"


def test_files_of_a_task_from_python_are_relative_to_its_base(tmp_path):
    (tmp_path / "d.csv").write_text("q,target\na,b\n")
    assert Task(task="t", base=tmp_path, data="d.csv", prompt="{{ q }}", scoring="f1").items[0].target == "b"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"promt": "x"}, r"Task\('words'\).*'promt': unknown key; did you mean 'prompt'"),
        ({"data": []}, r"Task\('words'\).*data"),
        ({"prompt": "{{ r }}"}, r"Task\('words'\).*'r' is not a column"),
        ({"scoring": "exactmatch"}, "did you mean 'exact_match'"),
        ({"prompt": {"template": "{{ q }}", "shots": -1}}, "prompt.shots: expected 0 or more"),
    ],
)
def test_a_mistake_in_python_is_named_as_in_a_file(keys, says):
    with pytest.raises(ProctorError, match=says):
        words(**keys)


# fewer items


@given(small=st.integers(1, 24), more=st.integers(0, 24), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_limits_are_nested_and_keep_the_order(small, more, seed):
    task = words(24)
    less, larger = task.limited(small, seed), task.limited(min(24, small + more), seed)
    ids = [item.id for item in less.items]
    assert len(ids) == small
    assert set(ids) <= {item.id for item in larger.items}
    assert ids == sorted(ids)
    assert less.pool == task.pool


def test_a_limit_depends_on_ids_and_seed_alone():
    task = words(24)
    reordered = words(data=rows(24)[::-1])
    assert {item.id for item in task.limited(5).items} == {item.id for item in reordered.limited(5).items}
    assert len({tuple(item.id for item in task.limited(5, seed).items) for seed in range(6)}) > 1
    assert task.limited(5).protocol_hash != task.protocol_hash
    assert task.limited(24) is task
    assert task.limited(99) is task


def test_only_takes_the_named_items_in_that_order():
    assert [item.id for item in words().only(["i03", "i01"]).items] == ["i03", "i01"]
    with pytest.raises(DataError, match="task 'words' has no item 'i3'; did you mean"):
        words().only(["i3"])


# other settings


def test_changed_settings_are_a_protocol_of_their_own():
    task = words()
    assert task.changed() is task
    assert task.changed(shots=0) is task
    assert len({task.protocol_hash, task.changed(shots=2).protocol_hash, task.changed(epochs=2).protocol_hash}) == 3
    assert task.changed(shots=2, epochs=3).epochs == 3
    assert len(task.changed(shots=2).request(task.items[0]).prompt.messages) == 5


def test_more_examples_than_fixed_ones_cannot_be():
    task = words(prompt={"template": "{{ q }}", "choose": "fixed", "ids": ["i01"]})
    with pytest.raises(TaskError, match=r"prompt\.shots is 3 but prompt\.ids names 1"):
        task.changed(shots=3)


# chance


@pytest.mark.parametrize(
    ("task", "chance"),
    [
        (picks(), (1 / 2 + 1 / 3) / 2),
        (picks(targets=(0, [0, 2])), (1 / 2 + 2 / 3) / 2),
        (picks(chance=0.1), 0.1),
        (words(chance=0.25), 0.25),
        (words(), 0.0),
    ],
)
def test_chance_is_as_declared_or_one_in_the_number_of_choices(task, chance):
    assert task.chance == pytest.approx(chance)


def test_chance_is_that_of_the_items_asked():
    assert picks().only(["p0"]).chance == 0.5


# multiple choice for a model that gives no log-likelihoods


def test_as_generation_leaves_a_template_with_options():
    task = picks(template="{{ q }}\n{{ options }}").as_generation()
    request = task.request(task.items[0])
    assert isinstance(request, Generate)
    assert request.prompt.messages[-1].content == "q0\nA. x\nB. y\n\nAnswer with the letter of the right choice only."
    assert not task.needs_likelihood
    assert task.chance == picks().chance


@pytest.mark.parametrize("template", ["{{ q }}", ""])
def test_as_generation_adds_the_options_to_a_template_without(template):
    task = picks(template=template, response={"kind": "choice", "by": "text", "normalise": "char"}).as_generation()
    question = "q0\n" if template else ""
    assert task.request(task.items[0]).prompt.messages[-1].content == (
        f"{question}A. x\nB. y\n\nAnswer with the letter of the right choice only."
    )


def test_as_generation_is_a_protocol_of_its_own_and_examples_answer_with_letters():
    by_text = picks(
        response={"kind": "choice", "by": "text"}, template={"template": "{{ q }}", "shots": 1, "answer": "{{ q }}!", "style": "plain"}
    )
    written = by_text.as_generation()
    assert written.protocol_hash != by_text.protocol_hash
    prompt = written.request(written.items[0]).prompt
    assert prompt.messages[1].content == "B"
    assert prompt.style == "auto"
    assert written.as_generation() is written
    assert words().as_generation().protocol_hash == words().protocol_hash


def test_as_generation_scores_the_letter():
    from proctor.types import Response

    task = picks().as_generation()
    for text, state, value in (("B", "scored", 0.0), ("A", "scored", 1.0), ("(A)", "scored", 1.0), ("who knows", "unparsed", 0.0)):
        score = task.scoring.score(task.items[0], task.request(task.items[0]), Response(text=text))
        assert (score.state, score.values[task.scoring.metrics[0].name]) == (state, value), text


def test_perplexity_cannot_be_written():
    task = words(response="perplexity", scoring=[])
    with pytest.raises(TaskError, match="needs log-likelihoods"):
        task.as_generation()


# fitted to a model


def fitted(task, kinds, **keys):
    return fit(Suite("s", [Weighted(task)]), Settings(**keys), frozenset(kinds)).tasks[0]


def test_a_choice_is_put_as_the_model_can_take_it():
    assert fitted(picks(), {"generate", "likelihood"}).protocol_hash == picks().protocol_hash
    assert fitted(picks(), {"generate"}).protocol_hash == picks().as_generation().protocol_hash
    assert fitted(picks(), {"generate", "likelihood"}, choices="generate").protocol_hash == picks().as_generation().protocol_hash
    with pytest.raises(ModelError, match="asks for a written answer"):
        fitted(words(), {"likelihood"})
    perplexity = words(response="perplexity", scoring=[])
    assert fitted(perplexity, {"generate", "likelihood"}, choices="generate").needs_likelihood
    with pytest.raises(TaskError, match="leave it out"):
        fitted(perplexity, {"generate"})


def test_a_scoring_function_may_stand_beside_the_task_file(tmp_path):
    (tmp_path / "beside_marks.py").write_text("def mark(answer, item):\n    return len(answer) / item.fields['n']\n")
    (tmp_path / "t.yaml").write_text(
        "task: t\ndata: {items: [{id: a, n: 4, target: x}, {id: b, n: 8, target: x}]}\nprompt: '{{ n }}'\n"
        "scoring: {metrics: [{python: 'beside_marks:mark'}]}\n"
    )
    task = load_task(tmp_path / "t.yaml").limited(1)
    (item,) = task.items
    score = task.scoring.score(item, task.request(item), Response(text="ab"))
    assert score.values == {"score": 2 / item.fields["n"]}
