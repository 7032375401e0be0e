"""The items of the built-in suites as a model meets them: loaded, rendered, counted."""

import json
from collections import Counter

import pytest

from proctor.models.base import plain_text
from proctor.tasks.load import BUILTIN, builtin_suites, builtin_tasks, load_suite, load_task
from proctor.types import Generate, Likelihood

CAPABILITIES = {
    "code",
    "dialogue",
    "hearing",
    "instruction-following",
    "knowledge",
    "language",
    "mathematics",
    "reading",
    "reasoning",
    "retrieval",
    "vision",
}
NEED_PACKAGES = {"dialogue_rules": "punkt", "leg_counting": "reasoning_gym"}


@pytest.fixture(scope="module")
def core():
    return [entry.task for entry in load_suite("core").entries]


@pytest.fixture(scope="module")
def choice_tasks(core):
    return [task for task in core if task.spec.response.kind == "choice"]


def prompts(task, item):
    request = task.request(item)
    return request.prompts if isinstance(request, Likelihood) else (request.prompt,)


def shown(task, item):
    request = task.request(item)
    continuations = request.continuations if isinstance(request, Likelihood) else ()
    return [plain_text(prompt)[0] for prompt in prompts(task, item)], continuations


def right_positions(item):
    assert isinstance(item.target, int)
    return item.target


def test_every_task_file_loads():
    assert {"core", "smoke"} <= set(builtin_suites())
    for name in builtin_tasks():
        if name in NEED_PACKAGES:
            pytest.importorskip(NEED_PACKAGES[name])
        task = load_task(name)
        assert task.name == name
        assert task.items


def test_suites_hold_what_they_promise(core):
    assert len(core) >= 14
    assert len({task.spec.domain for task in core}) >= 9
    assert len({language for task in core for language in task.spec.languages} - {"en"}) >= 3
    assert 400 <= sum(len(task.items) for task in core) <= 560
    smoke = [entry.task for entry in load_suite("smoke").entries]
    assert 15 <= sum(len(task.items) for task in smoke) <= 25
    assert {task.spec.response.kind for task in smoke} == {"choice", "generate"}


def test_every_task_says_what_it_is():
    for name in builtin_tasks():
        if name in NEED_PACKAGES:
            pytest.importorskip(NEED_PACKAGES[name])
        spec = load_task(name).spec
        assert spec.title, name
        assert spec.domain != "general", name
        assert spec.capabilities, name
        assert set(spec.capabilities) <= CAPABILITIES, name
        assert spec.licence, name
        assert spec.version == 1, name
        assert "Limits:" in spec.description or name.startswith("smoke_"), name


def test_task_files_fit_a_screen():
    for path in (BUILTIN / "tasks").glob("*.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 45, path.name
        assert max(map(len, lines)) <= 140, path.name


def test_every_data_file_is_used():
    named = "".join(path.read_text(encoding="utf-8") for path in (BUILTIN / "tasks").glob("*.yaml"))
    for path in (BUILTIN / "data").iterdir():
        assert f"../data/{path.name}" in named, path.name


def test_written_ids_do_not_depend_on_order():
    """Every written row names itself; none is named by its place or by a hash of its wording."""
    for path in (BUILTIN / "data").iterdir():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert all(isinstance(row["id"], str) and row["id"] for row in rows), path.name
        assert len({row["id"] for row in rows}) == len(rows), path.name


def test_no_question_is_asked_twice(core):
    seen = Counter(str(shown(task, item)) for task in core for item in task.items)
    assert [text for text, times in seen.items() if times > 1] == []


def test_no_example_is_also_an_item(core):
    for task in core:
        if task.spec.prompt.shots:
            questions = {task.prompter.question(item) for item in task.items}
            assert len(task.pool) == task.spec.prompt.shots, task.name
            assert not questions & {task.prompter.question(example) for example in task.pool}, task.name


def test_answer_positions_are_balanced(choice_tasks):
    for task in choice_tasks:
        if task.name == "sentiment":
            continue  # its choices are the classes, in the same order for every item
        for size in {len(item.choices) for item in task.items}:
            counts = Counter(right_positions(item) for item in task.items if len(item.choices) == size)
            tallies = [counts[position] for position in range(size)]
            assert max(tallies) - min(tallies) <= 1, (task.name, tallies)


def test_answer_positions_are_balanced_in_every_language():
    task = load_task("multilingual")
    for language in task.spec.languages:
        counts = Counter(item.target for item in task.items if item.metadata["language"] == language)
        assert sorted(counts.values()) == [2, 2, 3, 3], language


def test_classes_are_balanced():
    assert set(Counter(item.target for item in load_task("sentiment").items).values()) == {12}


def test_choices_are_distinct(choice_tasks):
    for task in choice_tasks:
        for item in task.items:
            assert len({choice.casefold() for choice in item.choices}) == len(item.choices), (task.name, item.id)


def test_length_does_not_give_the_answer_away(choice_tasks):
    """Neither "the longest" nor "the shortest" (ties shared) is a much better guess than chance, or a much worse one."""
    for task in choice_tasks:
        if task.name == "sentiment":
            continue
        for pick in (max, min):
            points = []
            for item in task.items:
                lengths = [len(choice) for choice in item.choices]
                extreme = [position for position, length in enumerate(lengths) if length == pick(lengths)]
                points.append((item.target in extreme) / len(extreme))
            assert sum(points) / len(points) == pytest.approx(task.chance, abs=0.1), (task.name, pick.__name__)


def test_the_question_does_not_hold_the_answer_word(choice_tasks):
    for name in ("knowledge", "multilingual", "analogies"):
        task = next(task for task in choice_tasks if task.name == name)
        for item in task.items:
            right = item.choices[item.target].casefold()
            assert right not in item.fields["question"].casefold() or len(right) < 4, (name, item.id)


def test_suite_stays_within_its_budget(core):
    """At four characters a token (three of Chinese), shared beginnings counted once: about 35,000 tokens read and 6,500 written at most."""
    read = written = 0.0
    for task in core:
        beginnings: set[str] = set()
        for item in task.items:
            request = task.request(item)
            if isinstance(request, Generate):
                written += request.max_tokens
            texts = [
                f"{plain_text(p)[0]} {c}"
                for p in prompts(task, item)
                for c in (request.continuations if isinstance(request, Likelihood) else [""])
            ]
            for text in texts:
                # a trie over pieces of four characters: what was read for an earlier text of the task is not read again
                size = 4 if text.isascii() or not any("一" <= letter <= "鿿" for letter in text) else 1
                for end in range(size, len(text) + size, size):
                    beginnings.add(text[:end])
        read += len(beginnings) + 25 * len(task.items)  # the model's chat template
    assert read <= 45_000
    assert written <= 6_500


def test_hidden_columns_are_not_shown():
    for name, columns in {"code_writing": ("reference", "mistake", "tests"), "instructions": ("example",)}.items():
        task = load_task(name)
        for item in task.items:
            (prompt,) = prompts(task, item)
            for column in columns:
                assert item.fields[column] not in plain_text(prompt)[0], (name, item.id)
