"""Task files that are broken, hostile or merely odd."""

from __future__ import annotations

import pytest

from proctor.errors import TaskError
from proctor.tasks.lm_eval.config import problem_of, read_config
from proctor.tasks.lm_eval.templates import check_template, render
from proctor.tasks.lm_eval.yaml_files import FunctionRef, load, parse

PLAIN = {"task": "t", "dataset_path": "d", "test_split": "test", "doc_to_text": "q", "doc_to_target": "a"}


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{next(iter(files))}.yaml"


def test_includes_are_merged_and_own_keys_win(tmp_path):
    path = write(tmp_path, a="include: [b.yaml, c.yaml]\ntask: a\nx: 1", b="x: 2\ny: 2\nz: 2\ntask_list: [no]", c="include: sub/d\ny: 3")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d").write_text("process_docs: !function utils.f\nz: 4")
    loaded = load(path)
    assert loaded.config == {"task": "a", "x": 1, "y": 3, "z": 4, "process_docs": FunctionRef("utils.f", str(tmp_path / "sub"))}
    assert [one.name for one in loaded.files] == ["a.yaml", "b.yaml", "c.yaml", "d"]


def test_yaml_is_read_as_the_harness_reads_it():
    assert parse(b"a: no\nb: 1_000\nc: 0.5\nd: [yes]\n", "x", "") == {"a": False, "b": 1000, "c": 0.5, "d": [True]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "include: b.yaml", "b": "include: a.yaml"}, "includes itself: a.yaml > b.yaml > a.yaml"),
        ({"a": "include: a.yaml"}, "includes itself"),
        ({"a": "include: missing.yaml"}, "a.yaml: include: .*missing.yaml: no such file"),
        ({"a": "include: {x: 1}"}, "include: expected a path"),
        ({"a": "- 1\n- 2"}, "expected a mapping"),
        ({"a": "x: [1"}, "a.yaml:2: not a task file"),
        ({"a": "x: !!python/object/apply:os.system ['echo hi']"}, "the tag tag:yaml.org,2002:python/object/apply:os.system is not read"),
        ({"a": "x: !function [a]"}, "expected !function module.function"),
        ({"a": "x: &a [*a]"}, "an alias contains itself"),
        ({"a": "x: " + "[" * 50_000}, "nested deeper than 100 levels|nesting depth"),
        ({"a": "- " * 50_000 + "x"}, "nested deeper than 100 levels"),
        ({"a": "x: \x07"}, "not YAML"),
        ({"a": "x: {? [a] : b, ? {c: d} : e}"}, "not a task file|not YAML"),
    ],
)
def test_a_broken_file_is_one_message(files, message, tmp_path):
    with pytest.raises(TaskError, match=message) as caught:
        load(write(tmp_path, **files))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_billion_laughs_are_not_written_out(tmp_path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(10)]
    with pytest.raises(TaskError, match="aliases expand to more than 1,000,000 values"):
        load(write(tmp_path, a="\n".join(lines)))


def test_reading_runs_no_code(tmp_path):
    (tmp_path / "utils.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef f(doc): return ''\n")
    path = write(tmp_path, a="task: a\ndataset_path: d\ntest_split: t\ndoc_to_text: !function utils.f\ndoc_to_target: x")
    assert read_config(load(path).config, "a").functions == (FunctionRef("utils.f", str(tmp_path)),)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"doc_to_txt": "x"}, "unknown key 'doc_to_txt'; did you mean 'doc_to_text'?"),
        ({"output_type": "multiple"}, "output_type: expected one of"),
        ({"doc_to_text": "{{ a"}, "doc_to_text: not a valid template"),
        ({"doc_to_text": FunctionRef("gone.f", "/nowhere")}, ""),
        ({"doc_to_image": ["x"]}, "shows pictures or sound"),
        ({"unsafe_code": True}, "outside a sandbox"),
        ({"metric_list": [{"metric": "wer"}]}, "metric_list[0]: 'wer' is of the library `evaluate`"),
        ({"metric_list": [{"metric": "acc_norm"}]}, "'acc_norm' is no metric of generate_until"),
        ({"metric_list": [{"metric": "exact_match", "aggregation": "meen"}]}, "unknown aggregation 'meen'; did you mean 'mean'?"),
        ({"metric_list": [3]}, "expected a mapping with the key 'metric'"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regx"}]}]}, "unknown filter 'regx'; did you mean 'regex'?"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regex", "regex_pattern": "("}]}]}, "is no regular expression"),
        ({"filter_list": [{"name": "x", "filter": [{"function": "regex", "pattern": "a"}]}]}, "unexpected keyword argument 'pattern'"),
        ({"generation_kwargs": {"num_beams": 4}}, "decoding with num_beams 4 is not offered"),
        ({"generation_kwargs": {"until": 3}}, "expected a text or a list of texts"),
        ({"generation_kwargs": {"max_gen_toks": "many"}}, "expected numbers"),
        ({"fewshot_config": {"sampler": "balanced"}}, "expected default or first_n"),
        ({"fewshot_config": {"shots": 1}}, "unknown key 'shots'"),
        ({"num_fewshot": -1}, "num_fewshot: expected a whole number"),
        ({"test_split": None}, "neither test_split nor validation_split"),
        ({"dataset_path": "/gone/away"}, "somebody else's machine"),
        ({"process_docs": "f"}, "process_docs: expected !function module.function"),
    ],
)
def test_what_cannot_be_run_says_why(keys, message):
    assert message in problem_of({**PLAIN, **keys}, "file") if message else problem_of({**PLAIN, **keys}, "file") == ""


def test_a_function_that_is_not_there_is_found_without_running_the_file(tmp_path):
    (tmp_path / "utils.py").write_text("raise SystemExit\ndef process_docs(d): pass\n")
    keys = {**PLAIN, "process_docs": FunctionRef("utils.proces_docs", str(tmp_path))}
    assert "utils.py has no 'proces_docs'; did you mean 'process_docs'?" in problem_of(keys, "file")


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in q %}" * 5 + "{% endfor %}" * 5,
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 'x' * 999999999 }}",
        "{{ 'x'.ljust(9999999999) }}",
        "{{ q | center(9999999999) }}",
        "{{ 9 ** 99999 }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{{ q.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('echo hi') }}",
        "{{ undefined_name }}",
        "{{ 1 / 0 }}",
    ],
)
def test_templates_that_loop_or_reach_out_are_stopped(source):
    with pytest.raises(ValueError, match=r"."):
        render(source, {"q": "x" * 500})


def test_templates_are_those_of_the_harness():
    document = {"q": "What?", "choices": ["a", "b"], "n": 3}
    assert render(
        "{{q}}\n{% for c in choices %}{{loop.index}}/{{loop.length}} {{c}}{% if not loop.last %},{% endif %}{% endfor %}\n", document
    ) == ("What?\n1/2 a,2/2 b\n")
    assert render("{{ choices.index('b') }}{{ q|regex_replace('W', 'w') }}{{ q ~ n }}", document) == "1what?What?3"
    assert render("{{ (n * 2) + 1 }} {{ 'ab' * n }} {{ '%d' | format(n) }}", document) == "7 ababab 3"
    check_template("{{ q }}", "x")
