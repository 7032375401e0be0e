"""Task and suite files: what is read, what stays text, and one message for each thing that is wrong."""

from __future__ import annotations

import math

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import TaskError
from proctor.tasks import strict_yaml
from proctor.tasks.spec import SuiteSpec, TaskSpec
from proctor.tasks.yaml_file import expand_task, read_yaml, suite_spec_from_mapping, task_spec_from_mapping

GOOD = "task: sums\ndata: items.jsonl\nprompt: '{{ q }} ='\n"  # three lines; what a case appends begins on line 4


def read(tmp_path, text, kind=TaskSpec):
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path, kind, "task" if kind is TaskSpec else "suite")


def test_shorthands(tmp_path):
    short = read(
        tmp_path,
        "task: sums\ndata: [a.csv, b.csv]\nprompt: '{{ q }}'\nresponse: generate\nscoring: exact_match\ncapabilities: reasoning\n"
        "languages: de\nitem: {metadata: topic}\n",
    )
    long = read(
        tmp_path,
        """
task: sums
data: {files: [a.csv, b.csv]}
prompt: {template: "{{ q }}"}
response: {kind: generate}
scoring: {metrics: [exact_match]}
capabilities: [reasoning]
languages: [de]
item: {metadata: [topic]}
""",
    )
    assert short == long
    assert short.scoring.metrics == ["exact_match"]
    one = read(tmp_path, GOOD + 'response: {stop: "\\n"}\nscoring: {extract: {regex: "(a)"}, metrics: [f1, {bleu: {lower: true}}]}\n')
    assert one.response.stop == ["\n"]
    assert one.scoring.extract == [{"regex": "(a)"}]
    assert one.scoring.metrics == ["f1", {"bleu": {"lower": True}}]
    assert read(tmp_path, GOOD + "scoring: [f1, bleu]").scoring.metrics == ["f1", "bleu"]
    fixed = read(tmp_path, "task: a\ndata: x.csv\nprompt: {template: x, choose: fixed, ids: [p, q]}\n")
    assert fixed.prompt.shots == 2
    rows = read(tmp_path, "task: a\nprompt: x\ndata:\n- {q: 1, target: b}\n")
    assert rows.data.items == [{"q": 1, "target": "b"}]


def test_suite(tmp_path):
    suite = read(tmp_path, "suite: s\ntasks: [a, {task: b/c.yaml, weight: 2}]\n", SuiteSpec)
    assert [(entry.task, entry.weight) for entry in suite.tasks] == [("a", 1.0), ("b/c.yaml", 2.0)]
    assert suite == suite_spec_from_mapping({"suite": "s", "tasks": ["a", {"task": "b/c.yaml", "weight": 2}]}, "here")


def test_built_in_python(tmp_path):
    mapping = {"task": "sums", "data": "items.jsonl", "prompt": "{{ q }} ="}
    assert task_spec_from_mapping(mapping, "Task('sums')") == read(tmp_path, GOOD)
    assert expand_task(mapping)["prompt"] == {"template": "{{ q }} ="}
    assert mapping["prompt"] == "{{ q }} ="  # not changed in place
    with pytest.raises(TaskError) as caught:
        task_spec_from_mapping({**mapping, "respons": {}}, "Task('sums')")
    assert str(caught.value).startswith("Task('sums'): key 'respons': unknown key; did you mean 'response'? valid keys: task, data,")
    with pytest.raises(TaskError, match=r"^here: chance: expected a number, got"):
        task_spec_from_mapping({**mapping, "chance": math.nan}, "here")


def test_scalars_are_those_of_yaml_1_2(tmp_path):
    # https://yaml.org/spec/1.2.2/#103-core-schema, and what 1.1 makes of the same texts
    text = "no: [no, yes, on, off, y, n, 2024-01-01, 12:30:45, 1_000, 0b1, =]\n"
    text += "values: [true, FALSE, null, ~, , 0x1F, 0o17, 017, -3, 1e3, .5, 1.]\n"
    values = strict_yaml.plain(strict_yaml.parse(text.replace(", ,", ", ~,")))
    assert values["no"] == ["no", "yes", "on", "off", "y", "n", "2024-01-01", "12:30:45", "1_000", "0b1", "="]
    assert values["values"] == [True, False, None, None, None, 31, 15, 17, -3, 1000.0, 0.5, 1.0]
    assert strict_yaml.plain(strict_yaml.parse("{a: '5', b: !!str 5, 7: x, c: !!int '5'}")) == {"a": "5", "b": "5", "7": "x", "c": 5}


def test_merge_keys_and_aliases():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: [{x: 5}, *a]}\nd: *a\n"
    assert strict_yaml.plain(strict_yaml.parse(text)) == yaml.safe_load(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.text(), json_values))
def test_json_is_yaml(value):
    text = msgspec.json.encode(value).decode()
    if any(sign in text for sign in "\x7f\ufffe\uffff") or any(0x80 <= ord(one) < 0xA0 for one in text):
        return  # allowed in JSON, not in YAML
    assert strict_yaml.plain(strict_yaml.parse(text)) == value


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,? \n\t<0.~") | st.text())
def test_any_text_is_read_or_refused_in_one_message(text):
    problem = None
    try:
        strict_yaml.plain(strict_yaml.parse(text))
    except strict_yaml.YamlError as error:
        problem = error
    assert problem is None or (problem.message and 1 <= problem.line <= max(1, len(text.splitlines())))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join([f'*{before}'] * 10)}]\n" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)

WRONG = [
    # what is appended to GOOD, and what the message says after the file's name
    ("promt: {template: x}\n", ":4: key 'promt': unknown key; did you mean 'prompt'? valid keys: task, data, prompt"),
    ("epochs: 3\n", ":4: key 'epochs': unknown key; did you mean 'response.epochs'?"),
    ("zzz: 3\n", ":4: key 'zzz': unknown key; valid keys: task, data"),
    ("response:\n  epochs: three\n", ":5: response.epochs: expected a whole number, got 'three'"),
    ("response:\n  epochs: 2.5\n", ":5: response.epochs: expected a whole number, got the number 2.5"),
    ("response:\n  epochs: 0\n", ":5: response.epochs: expected 1 or more, got 0"),
    (
        "response:\n\n  kind: choise\n",
        ":6: response.kind: expected one of 'choice', 'generate', 'perplexity', 'rank', got 'choise'; did you mean 'choice'?",
    ),
    ("response:\n  max_token: 5\n", ":5: key 'response.max_token': unknown key; did you mean 'max_tokens'? valid keys: kind, by"),
    ("response: {kind: generate, by: text}\n", ":4: response.by: belongs to kind: choice, not to kind: generate"),
    (
        "response: {kind: choice, by: text, temperature: 1}\n",
        ":4: response.temperature: belongs to generated text, not to kind: choice, by: text",
    ),
    ("response: {top_p: 0}\n", ":4: response.top_p: expected a share above 0 and at most 1, got 0"),
    ("response: {temperature: -0.5}\n", ":4: response.temperature: expected 0 or more, got -0.5"),
    ("response: {stop: ['']}\n", ":4: response.stop[0]: expected some text, got an empty one"),
    ("response: [choice]\n", ":4: response: expected a mapping, got a list"),
    ("title: 5\n", ":4: title: expected text, got the number 5; write it in quotes"),
    ("title: true\n", ":4: title: expected text, got true; write it in quotes"),
    ("version: true\n", ":4: version: expected a whole number, got true"),
    ("languages:\n- en\n- 5\n", ":6: languages[1]: expected text, got the number 5; write it in quotes"),
    ("capabilities: [a, a]\n", ":4: capabilities[1]: 'a' is listed twice"),
    ("chance: 1\n", ":4: chance: expected a share from 0 to below 1 (0.25 for four choices), got 1"),
    ("chance: .nan\n", ":4: '.nan' is not a finite number"),
    ("scoring: {metrics: [{f1: 3}]}\n", ":4: scoring.metrics[0]: expected the options of 'f1' as a mapping, got 3"),
    ("scoring: {extract: [{a: 1, b: 2}]}\n", ":4: scoring.extract[0]: expected a name, or {name: argument}, got a mapping with 2 keys"),
    ("scoring: 5\n", ":4: scoring: expected a mapping, got the number 5"),
    ("item: {choices: [a]}\n", ":4: item.choices: expected at least two choices"),
    ("item: {target: ''}\n", ":4: item.target: expected a column or a template, got an empty value"),
    ("task: again\n", ":4: duplicate key 'task' (first on line 1)"),
    ("title: !function utils.title\n", ":4: tag '!function' is not supported: a task file is data"),
    ("title: !!python/name:os.system\n", ":4: tag '!!python/name:os.system' is not supported"),
    ("title: !!timestamp 2024-01-01\n", ":4: tag '!!timestamp' is not supported"),
    ("version: !!int one\n", ":4: 'one' is not a !!int"),
    ("title: 'open\n", "not YAML: found unexpected end of stream (while scanning a quoted scalar)"),
    ("title:\n\t- x\n", ":5: not YAML: found character that cannot start any token"),
    ("title: *nothing\n", ":4: alias '*nothing' has no anchor '&nothing' above it"),
    ("title: &a [*a]\n", ":4: alias '*a' stands inside the value it names"),
    ("title: &a {b: {<<: *a}}\n", ":4: alias '*a' stands inside the value it names"),
    ("title: {<<: 3}\n", ":4: '<<' merges mappings"),
    (BOMB.replace("a:", "a1:", 1), "aliases expand to more than 10000 further values"),
    ("title: " + "[" * 200_000 + "\n", ":4: nested deeper than 100 levels"),
    ("---\ntask: b\n", ":4: a second document begins; expected one per file"),
    ("title: a\x07b\n", ":4: not YAML: the character U+0007 is not allowed"),
    (b"title: caf\xe9\n", ":4: not UTF-8 at byte 59 (0xe9); save the file as UTF-8"),
    ("? [a]\n: b\n", ":4: a key is a list; expected text"),
    ("version: " + "1" * 5000 + "\n", ":4: a number of 5000 digits"),
]


@pytest.mark.parametrize(("addition", "expected"), WRONG, ids=[str(case[0])[:40] for case in WRONG])
def test_wrong_task_files(tmp_path, addition, expected):
    whole = GOOD.encode() + (addition if isinstance(addition, bytes) else addition.encode())
    with pytest.raises(TaskError) as caught:
        read(tmp_path, whole)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'x.yaml'}:")
    assert expected in message
    assert "\n" not in message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("", TaskSpec, ":1: the file is empty"),
        ("# only a comment\n", TaskSpec, ":1: the file is empty"),
        ("- a\n", TaskSpec, ":1: expected a mapping (`key: value` lines) that describes a task, got a list"),
        ("task: a\nprompt: x\n", TaskSpec, ":1: data: the key is missing; expected a mapping"),
        ("task: a\ndata: x.csv\n", TaskSpec, ":1: prompt: the key is missing; expected a mapping with 'template'"),
        ("task: a\ndata: x.csv\nprompt:\n  system: x\n", TaskSpec, ":3: prompt.template: the key is missing; expected text"),
        ("task: ../a\ndata: x.csv\nprompt: x\n", TaskSpec, ":1: task: expected a name of letters"),
        ("suite: a\ntasks: [b]\n", TaskSpec, ":1: suite: unknown key: this is a suite file, expected a task file"),
        ("task: a\nprompt: x\ndata: {}\n", TaskSpec, ":3: data: expected exactly one of files, hub, package, gym, python, items; got none"),
        (
            "task: a\nprompt: x\ndata:\n  hub: a/b\n  files: x\n",
            TaskSpec,
            ":3: data: expected exactly one of files, hub, package, gym, python, items; got 'files' and 'hub'",
        ),
        ("task: a\nprompt: x\ndata:\n  files: x\n  split: test\n", TaskSpec, ":5: data.split: belongs to hub, not to files"),
        ("task: a\nprompt: x\ndata:\n  package: x\n", TaskSpec, "data.file: the key is missing"),
        ("task: a\nprompt: x\ndata:\n  python: x\n", TaskSpec, ":4: data.python: expected 'module:function', got 'x'"),
        ("task: a\nprompt: x\ndata:\n  hub: a/b/c\n", TaskSpec, ":4: data.hub: expected a data set as 'org/name', got 'a/b/c'"),
        ("task: a\nprompt: x\ndata: {gym: ab, size: 0}\n", TaskSpec, ":3: data.size: expected 1 or more, got 0"),
        ("task: a\nprompt: x\ndata: []\n", TaskSpec, ":3: data: expected a mapping, got a list"),
        ("task: a\nprompt: x\ndata: {files: [a, 3]}\n", TaskSpec, ":3: data.files[1]: expected text, got the number 3; write it in quotes"),
        (
            "task: a\nprompt: x\ndata: {files: 3}\n",
            TaskSpec,
            ":3: data.files: expected text or a list of texts, got the number 3; write it in quotes",
        ),
        (
            "task: a\ndata: x\nprompt: {template: x, ids: [a]}\n",
            TaskSpec,
            ":3: prompt.ids: belongs to choose: fixed, not to choose: random",
        ),
        ("task: a\ndata: x\nprompt: {template: x, choose: fixed}\n", TaskSpec, "prompt.ids: the key is missing"),
        (
            "task: a\ndata: x\nprompt: {template: x, choose: fixed, ids: [a], shots: 2}\n",
            TaskSpec,
            "prompt.shots: expected at most the 1 examples",
        ),
        ("task: a\ndata: x\nprompt: {template: x, shots: -1}\n", TaskSpec, ":3: prompt.shots: expected 0 or more, got -1"),
        ("suite: s\ntasks: []\n", SuiteSpec, ":2: tasks: expected at least one task"),
        ("suite: s\ntasks:\n- a\n- a\n", SuiteSpec, ":4: tasks[1]: 'a' is listed twice"),
        ("suite: s\ntasks:\n- a\n- {task: b, weight: -1}\n", SuiteSpec, ":4: tasks[1].weight: expected 0 or more, got -1"),
        (
            "suite: s\ntasks:\n- a\n- {tsk: b}\n",
            SuiteSpec,
            ":4: key 'tasks[1].tsk': unknown key; did you mean 'task'? valid keys: task, weight",
        ),
        ("suite: s\ntasks: a\n", SuiteSpec, ":2: tasks: expected a list of mappings, got 'a'"),
        ("suite: s\ntasks: [{task: a, weight: 0}]\n", SuiteSpec, ":2: tasks: every weight is 0"),
    ],
)
def test_wrong_files(tmp_path, text, kind, expected):
    with pytest.raises(TaskError) as caught:
        read(tmp_path, text, kind)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'x.yaml'}:")
    assert expected in message
    assert "\n" not in message


def test_files_that_are_not_there(tmp_path):
    read(tmp_path, GOOD)
    with pytest.raises(TaskError, match=r"y\.yaml: no such task file; did you mean 'x\.yaml'\?$"):
        read_yaml(tmp_path / "y.yaml", TaskSpec, "task")
    with pytest.raises(TaskError, match="the task file cannot be read: Is a directory"):
        read_yaml(tmp_path, TaskSpec, "task")


def test_size_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(strict_yaml, "MAX_BYTES", 40)
    with pytest.raises(TaskError, match="bytes; expected at most 40"):
        read(tmp_path, GOOD)
