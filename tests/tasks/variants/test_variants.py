"""A variant is a task of its own: the same ids, another protocol, the same thing right."""

import msgspec
import pytest

from proctor import Suite, Task, load_suite, load_task
from proctor.engine.plan import Settings, fit
from proctor.errors import ProctorError, TaskError, UsageError
from proctor.tasks.spec import VariantSpec
from proctor.tasks.suite import Weighted
from proctor.tasks.variants.build import UnfitVariantError, make_variant, with_variants
from proctor.types import Generate, Response

ROWS = [
    {
        "id": f"q{k}",
        "question": f"Which of these colours belongs to number {k}?",
        "c": [f"red{k}", f"green{k}", f"blue{k}", f"grey{k}"],
        "target": k % 4,
    }
    for k in range(12)
]


def picks(**keys) -> Task:
    return Task(
        **(
            {
                "task": "picks",
                "data": ROWS,
                "item": {"choices": "c"},
                "prompt": "{{ question }}\n\n{{ options }}\n\nGive the letter.",
                "response": "choice",
            }
            | keys
        )
    )


def variant(task: Task, **keys) -> Task:
    return make_variant(task, VariantSpec(**({"name": "v"} | keys)))


def suite(task: Task) -> Suite:
    return Suite(task.name, [Weighted(task)])


def content(item):
    return item.choices[item.target]


def test_every_standard_variant_of_the_built_in_tasks_keeps_ids_and_what_is_right():
    found = load_suite("core@standard,rotations")
    originals = {task.name: task for task in found.tasks if not task.variant}
    made = [task for task in found.tasks if task.variant]
    assert len(originals) == 16
    assert len(made) > 150
    assert {entry.weight for entry in found.entries if entry.task.variant} == {0.0}
    for task in made:
        original = originals[task.spec.variant_of]
        assert task.name == f"{original.name}@{task.variant['name']}"
        assert [item.id for item in task.items] == [item.id for item in original.items]
        assert task.protocol_hash != original.protocol_hash
        if task.spec.response.kind == "choice":
            assert [content(item) for item in task.items] == [content(item) for item in original.items]
        else:
            assert [item.target for item in task.items] == [item.target for item in original.items]
    assert len({task.protocol_hash for task in found.tasks}) == len(found.tasks)


def test_declaring_variants_changes_no_protocol():
    assert picks(variants=["option_order", {"name": "curt", "prompt": "{{ question }}"}]).protocol == picks().protocol


def test_a_shuffled_task_shows_the_options_in_the_order_it_records():
    task = variant(picks(), order="shuffle")
    for item, before in zip(task.items, picks().items, strict=True):
        assert item.choices == tuple(before.choices[option] for option in item.metadata["option_order"])
        shown = task.prompter.question(item)
        assert [line.partition(". ")[2] for line in shown.splitlines()[2:6]] == list(item.choices)


def test_seeds_change_the_order_and_names_do_not():
    one, same, other = (variant(picks(), order="shuffle", **keys) for keys in ({}, {"name": "w"}, {"seed": 1}))
    assert [item.choices for item in one.items] == [item.choices for item in same.items] != [item.choices for item in other.items]
    assert one.protocol["variant"] == {"version": 1, "of": "picks", "name": "v", "order": "shuffle", "unchanged": 0}


def test_options_hard_coded_as_columns_follow_and_a_list_the_template_reads_too():
    rows = [{"id": "1", "q": "?", "a": "x", "b": "y", "target": "A"}]
    by_column = Task(
        task="t",
        data=rows,
        item={"choices": ["{{ a }}", "{{ b }}"], "target_as": "letter"},
        prompt="{{ q }} A. {{ a }} B. {{ b }}",
        response="choice",
    )
    made = variant(by_column, order="reverse")
    assert made.prompter.question(made.items[0]) == "? A. y B. x"
    assert made.items[0].target == 1
    by_list = picks(prompt="{{ question }} A. {{ c[0] }} B. {{ c[1] }} C. {{ c[2] }} D. {{ c[3] }}")
    made = variant(by_list, order="reverse")
    assert "A. grey0 B. blue0" in made.prompter.question(made.items[0])


@pytest.mark.parametrize("text", ["Pick: A. x B. y", "Pick: A. X B. Y", "Pick A or B"])
def test_a_template_that_would_keep_showing_the_old_order_is_refused(text):
    rows = [{"id": "1", "text": text, "c": ["x", "y"], "target": 0}]
    task = Task(task="t", data=rows, item={"choices": "c"}, prompt="{{ text }}", response="choice")
    with pytest.raises(TaskError, match="variant 'v': the template does not show the options by"):
        variant(task, order="reverse")


@pytest.mark.parametrize(
    ("task", "keys", "says"),
    [
        ({"task": "g", "response": "generate", "scoring": "exact_match", "item": {}}, {"order": "shuffle"}, "needs questions with options"),
        ({"response": {"kind": "choice", "by": "text"}, "prompt": "{{ question }}"}, {"order": "shuffle"}, "not shown to the model"),
        ({"prompt": "{{ question }} A, B, C or D?"}, {"letters": ["1", "2", "3", "4"]}, "writes the letters itself"),
        ({}, {"letters": ["1", "2", "3"]}, "3 letters for 4 options"),
        ({}, {"rotate": 4}, "a full turn"),
        ({}, {"distractors": -3}, "changes nothing in any item"),
        (
            {"prompt": {"template": "{{ question }}{{ options }}", "answer": "letter {{ target }}"}},
            {"letters": list("abcd")},
            "prompt.answer",
        ),
    ],
)
def test_what_does_not_fit_is_said(task, keys, says):
    prompt = {"prompt": "{{ question }}"} if task.get("task") == "g" else {}
    with pytest.raises(UnfitVariantError, match=says):
        variant(picks(**(prompt | task)), **keys)


def test_letters_are_asked_for_shown_in_examples_and_read_back():
    task = variant(picks(prompt={"template": "{{ question }}\n{{ options }}\nWhich letter?", "shots": 1}), letters=list("1234"))
    asked = task.request(task.items[0])
    assert asked.continuations == ("1", "2", "3", "4")
    example, question = asked.prompts[0].messages[1], asked.prompts[0].messages[2]
    assert example.content in "1234"
    assert "\n1. red0\n2. green0" in question.content
    assert question.content.endswith("Which number?")
    written = task.as_generation()
    request = written.request(written.items[1])
    assert isinstance(request, Generate)
    assert "what stands before the right choice" in request.prompt.messages[-1].content
    for said, right in (("2", 1.0), ("The answer is (2).", 1.0), ("3", 0.0), ("1. red1", 0.0)):
        score = written.scoring.score(written.items[1], request, Response(text=said))
        assert (score.values["acc"], score.state) == (right, "scored"), said
    assert written.scoring.score(written.items[1], request, Response(text="The answer is 2")).answer == "B"


def test_examples_limits_and_samples_are_those_of_the_original():
    keys = {"prompt": {"template": "{{ question }}\n{{ options }}", "shots": 3}}
    original = picks(**keys)
    for made in (variant(original, order="shuffle"), variant(original, typos=1.0), variant(original, format=1)):
        assert [item.id for item in made.limited(5).items] == [item.id for item in original.limited(5).items]
        for item, before in zip(made.items, original.items, strict=True):
            drawn = made.prompter.shots.of(item, made.prompter.question(item))
            assert [one.id for one in drawn] == [one.id for one in original.prompter.shots.of(before, original.prompter.question(before))]
            assert [one.choices for one in drawn] == [original.items[int(one.id[1:])].choices for one in drawn]


def test_settings_of_a_run_reach_a_variant_and_leave_it_one():
    made = variant(picks(), order="shuffle")
    fitted = fit(suite(made), Settings(limit=4, shots=2, choices="generate"), frozenset({"generate"})).tasks[0]
    assert (fitted.variant, fitted.spec.variant_of, len(fitted.items), fitted.spec.prompt.shots) == (made.variant, "picks", 4, 2)
    with pytest.raises(UnfitVariantError, match="is a variant itself"):
        variant(made, typos=0.1)


def test_typos_leave_options_and_answers_alone():
    rows = [
        {"id": "1", "passage": "The amber whale swims towards Greenland slowly today", "q": "Where towards?", "target": "Greenland slowly"}
    ]
    task = Task(task="t", data=rows, prompt="{{ passage }} {{ q }}", scoring="exact_match")
    made = variant(task, typos=1.0)
    shown = made.prompter.question(made.items[0])
    assert "Greenland slowly" in shown
    assert "amber" not in shown
    assert made.items[0].target == "Greenland slowly"
    assert variant(picks(), typos=1.0).items[3].choices == picks().items[3].choices


def test_programs_are_not_written_otherwise():
    rows = [{"id": "1", "prompt": "Write a function that adds numbers", "tests": "assert add(1, 2) == 3", "entry_point": "add"}]
    target = {"tests": "tests", "entry_point": "entry_point"}
    task = Task(task="t", data=rows, item={"target": target}, prompt="{{ prompt }}", scoring={"metrics": "code_tests"})
    with pytest.raises(UnfitVariantError, match="programs are not written otherwise"):
        variant(task, typos=0.5)


def test_chance_follows_the_number_of_options():
    declared = picks(chance=0.25)
    assert variant(declared, distractors=1).chance == pytest.approx(0.2)
    assert variant(declared, distractors=-2).chance == pytest.approx(0.5)
    assert variant(declared, order="shuffle").chance == 0.25


def test_a_translation_is_paired_by_its_ids():
    german = [{"id": row["id"], "frage": f"Frage {row['id']}?", "c": row["c"], "target": row["target"]} for row in reversed(ROWS)]
    declared = {"name": "de", "data": german, "prompt": "{{ frage }}\n{{ options }}", "languages": ["de"]}
    task = picks(variants=[declared])
    made = with_variants(suite(task), ["declared"]).tasks[1]
    assert (made.name, made.spec.languages, made.spec.variant_of) == ("picks@de", ["de"], "picks")
    assert [item.id for item in made.items] == [item.id for item in task.items]
    assert made.prompter.question(made.items[2]).startswith("Frage q2?")
    for wrong, says in (
        (german[1:], "has no item 'q11', which 'picks' has"),
        ([*german, {**german[0], "id": "x"}], "has an item 'x', which 'picks' has not"),
    ):
        with pytest.raises(ProctorError, match=says):
            with_variants(suite(picks(variants=[{**declared, "data": wrong}])), ["de"])


FILE = """
task: colours
data:
  items:
    - {id: 1, question: "What colour is grass usually?", c: [red, green, blue], target: green}
    - {id: 2, question: "What colour is blood usually?", c: [red, green, blue], target: red}
item: {choices: c}
prompt:
  template: "{{ question }}\\n{{ options }}"
  shots: 1
response: choice
variants:
  - upper_case
  - name: curt
    prompt: {template: "{{ question }} {{ options }} Answer:"}
  - {name: twice, order: reverse, letters: [x, y, z]}
"""


def test_a_file_declares_variants_and_a_name_with_an_at_finds_them(tmp_path):
    path = tmp_path / "colours.yaml"
    path.write_text(FILE)
    found = load_suite(f"{path}@declared")
    assert [task.name for task in found.tasks] == ["colours", "colours@upper_case", "colours@curt", "colours@twice"]
    assert found.tasks[2].spec.prompt.shots == 1  # what the variant does not say stays
    assert found.tasks[3].request(found.tasks[3].items[0]).continuations == ("x", "y", "z")
    assert load_task(f"{path}@curt").protocol_hash == found.tasks[2].protocol_hash
    again = load_suite(found.source.splitlines())
    assert (again.name, again.hash) == (found.name, found.hash)
    assert [entry.weight for entry in found.entries] == [1, 0, 0, 0]
    (tmp_path / "s.yaml").write_text("suite: s\ntasks: ['colours@curt,option_order']\n")
    assert [task.name for task in load_suite(tmp_path / "s.yaml").tasks] == ["colours", "colours@curt", "colours@option_order"]


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("[typpos]", r"colours.yaml:12: variants\[0\]: 'typpos' is no standard variant"),
        ("[{name: a, typos: 2}]", r"variants\[0\].typos: expected a share"),
        ("[{name: a, typo: 0.2}]", r"'variants\[0\].typo': unknown key; did you mean 'typos'"),
        ("[typos, typos]", "'typos' is listed twice"),
        ("[{name: a, prompt: {templat: x}}]", r"'variants\[0\].prompt.templat': unknown key"),
        ("[{name: a, prompt: {shots: -1}}]", r"variants\[0\].prompt.shots: expected 0 or more"),
        ("[{name: a/b, rotate: 1}]", "expected a name of letters"),
        ("[{name: a, rotate: 1, order: reverse}]", "either order or rotate"),
        ("[{name: a, rotate: 1, item: {id: x}}]", "expected the key 'data' beside it"),
        ("[{name: a, data: {hub: x, files: y}}]", r"variants\[0\].data: expected exactly one of"),
    ],
)
def test_a_mistake_in_a_variant_is_named(tmp_path, declared, says):
    path = tmp_path / "colours.yaml"
    path.write_text(FILE.partition("variants:")[0] + f"variants: {declared}\n")
    with pytest.raises(TaskError, match=says):
        load_task(path)


def test_names_that_are_nothing_and_variants_that_fit_nowhere():
    with pytest.raises(UsageError, match="no variant is named 'optin_order'; did you mean 'option_order'"):
        load_suite("knowledge@optin_order")
    with pytest.raises(UnfitVariantError, match="needs questions with options"):
        load_suite("arithmetic@option_order")
    assert "arithmetic@option_order" not in [task.name for task in load_suite(["knowledge", "arithmetic"]).tasks]
    both = with_variants(load_suite(["knowledge", "arithmetic"]), ["option_order", "typos"])
    assert [task.name for task in both.tasks] == [
        "knowledge",
        "knowledge@option_order",
        "knowledge@typos",
        "arithmetic",
        "arithmetic@typos",
    ]
    with pytest.raises(UsageError, match="is several tasks: knowledge@lower_case, knowledge@upper_case"):
        load_task("knowledge@casing")


def test_five_formats_are_five():
    prompts = [msgspec.to_builtins(task.spec.prompt) for task in load_suite("knowledge@formats").tasks]
    assert len(prompts) == 6
    assert all(prompts.count(one) == 1 for one in prompts)
