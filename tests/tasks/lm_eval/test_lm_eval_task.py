"""Tasks of the harness under Proctor's own rules, their code, their data, and what becomes of them elsewhere."""

from __future__ import annotations

import json
import sys

import lm_eval_cases as cases
import pytest
from lm_eval_scripted import Scripted, rendered

import proctor
from proctor.errors import DataError, TaskError, UsageError
from proctor.models.base import plain_text
from proctor.tasks.lm_eval.convert import convert
from proctor.tasks.lm_eval.settings import LmEvalSettings, read_ref, write_ref
from proctor.tasks.load import load_suite, load_task


def named(folder, name, **more):
    return load_task(f"lm-eval:{name}", LmEvalSettings(paths=(str(folder / "tasks"),), **more))


def text(task, item):
    request = task.request(item)
    return plain_text(request.prompts[0] if hasattr(request, "prompts") else request.prompt)[0]


def test_examples_depend_on_the_item_alone_and_never_hold_it(lm_eval_folder):
    task = named(lm_eval_folder, "mc_same_split").changed(shots=4)
    few = task.limited(4)
    for item in few.items:
        assert task.request(item) == few.request(item) == task.only([item.id]).request(item)
    assert len({item.id for item in few.items}) == 4
    for item in task.items:
        question = f"{item.fields['question']}\nAnswer:"
        assert text(task, item).count(question) == 1


def test_the_harness_draw_is_another_and_has_a_protocol_of_its_own(lm_eval_folder):
    own, theirs = named(lm_eval_folder, "mc_plain").changed(shots=3), named(lm_eval_folder, "mc_plain", compat=True).changed(shots=3)
    assert own.protocol_hash != theirs.protocol_hash
    assert any(own.request(item) != theirs.request(item) for item in own.items)
    assert own.changed(shots=0).request(own.items[0]) == theirs.changed(shots=0).request(own.items[0])
    assert own.changed(shots=0).protocol_hash != theirs.changed(shots=0).protocol_hash


def test_num_fewshot_zero_is_kept_only_by_the_harness(lm_eval_folder):
    assert named(lm_eval_folder, "mc_never", compat=True).changed(shots=2).spec.prompt.shots == 0
    assert named(lm_eval_folder, "mc_never").changed(shots=2).spec.prompt.shots == 2


def test_several_targets_are_found_document_by_document(lm_eval_folder, tmp_path):
    (tmp_path / "t").mkdir()
    rows = [{"q": "a?", "a": "x"}, {"q": "b?", "a": ["x", "y"]}]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "t" / "t.yaml").write_text(
        "task: t\ndataset_path: own/data\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\noutput_type: generate_until\n"
    )
    (tmp_path / "map.yaml").write_text("own/data: {test: d.jsonl}\n")

    def scored(**more):
        settings = LmEvalSettings(paths=(str(tmp_path / "t"),), data=str(tmp_path / "map.yaml"), **more)
        [run] = proctor.run(load_suite("lm-eval:t", settings), lambda prompt: "y" if "b?" in str(prompt) else "x", out=tmp_path / str(more))
        return run.manifest.tasks[0].main.value

    assert scored() == 1.0
    assert scored(compat=True) == 0.5  # the first document has one target, so the harness takes the second's list for a text


def test_data_come_from_the_map(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "t.yaml").write_text(
        "task: t\ndataset_path: org/set\ndataset_name: two\ntest_split: test\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{n}}'\n"
    )
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.csv").write_text(f"q,n,m\n{name}?,7,\nmore,8,1\n")

    def rows(map_text):
        path = tmp_path / f"map{abs(hash(map_text))}.yaml"
        path.write_text(map_text)
        return load_task("lm-eval:t", LmEvalSettings(paths=(str(tmp_path / "t"),), data=str(path))).items

    for map_text in ("org/set: '{name}/{split}.csv'", "org/set: {two: {test: two/test.csv}}", "org/set: {test: [two/test.csv]}"):
        assert rows(map_text)[0].fields == {"q": "two?", "n": 7, "m": None}  # typed, as the harness's readers do
    with pytest.raises(DataError, match="no split 'test'; splits: train"):
        rows("org/set: {two: {train: a}}")
    with pytest.raises(DataError, match="no configuration 'two'"):
        rows("org/set: {tow: {test: a}}")
    with pytest.raises(UsageError, match="'org/set': expected a pattern"):
        rows("org/set: 3")


def test_code_runs_only_where_it_is_trusted(lm_eval_folder):
    with pytest.raises(TaskError, match=r"utils\.py: process_docs") as caught:
        named(lm_eval_folder, "mc_process_docs")
    assert "--trust-task-code" in str(caught.value)
    assert named(lm_eval_folder, "mc_process_docs", trust=True).items[0].fields["query"].startswith("Q: ")
    with pytest.raises(UsageError, match="--trust-task-code"):
        read_ref("lm-eval:x?trust=yes")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module_at_all", "pip install no_such_module_at_all"),
        ("raise RuntimeError('oh')", "RuntimeError: oh"),
        ("def process_docs(docs): return docs.no_such_method()", "datasets.Dataset.no_such_method is not among"),
        ("def process_docs(docs): return docs.map(lambda doc: {'q': doc['nothing']})", "process_docs.*KeyError: 'nothing'"),
        ("def process_docs(docs): return docs.shuffle()", "without a seed"),
        ("def process_docs(docs): return 3", "process_docs.*TypeError"),
    ],
)
def test_code_that_fails_is_one_message(code, message, tmp_path):
    (tmp_path / "own.py").write_text(code + "\nprocess_docs = globals().get('process_docs')\n")
    (tmp_path / "d.jsonl").write_text('{"q": "a", "a": "b"}\n')
    (tmp_path / "t.yaml").write_text(
        f"task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path}/d.jsonl}}}}\ntest_split: test\n"
        "doc_to_text: q\ndoc_to_target: a\nprocess_docs: !function own.process_docs\n"
    )
    with pytest.raises(TaskError, match=message):
        load_task("lm-eval:t", LmEvalSettings(paths=(str(tmp_path),), trust=True)).items  # noqa: B018


def test_task_code_may_import_datasets_and_what_lies_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("ANSWER = 'b'\n")
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\nimport datasets\nfrom .beside import ANSWER\n"
        "def process_docs(docs: datasets.Dataset) -> datasets.Dataset:\n"
        "    return datasets.Dataset.from_list([{**doc, 'a': ANSWER} for doc in docs.select([1, 0]).rename_column('q', 'question')])\n"
    )
    (tmp_path / "d.jsonl").write_text('{"q": "one"}\n{"q": "two"}\n')
    (tmp_path / "t.yaml").write_text(
        f"task: t\ndataset_path: json\ndataset_kwargs: {{data_files: {tmp_path}/d.jsonl}}\ntest_split: train\n"
        "doc_to_text: question\ndoc_to_target: a\nprocess_docs: !function own.process_docs\n"
    )
    items = load_task("lm-eval:t", LmEvalSettings(paths=(str(tmp_path),), trust=True)).items
    assert [item.fields for item in items] == [{"question": "two", "a": "b"}, {"question": "one", "a": "b"}]


CLASS = """
class Instance:
    def __init__(self, request_type, arguments):
        self.request_type, self.arguments = request_type, arguments


class Sums:
    VERSION = 4

    def __init__(self, config=None):
        self.config = config

    def has_test_docs(self):
        return True

    def test_docs(self):
        return [{"q": f"{i} + 1 =", "a": i + 1} for i in range(5)]

    def doc_to_target(self, doc):
        return str(doc["a"])

    def set_fewshot_seed(self, seed):
        self.seed = seed

    def fewshot_context(self, doc, num_fewshot, **kwargs):
        return f"[{num_fewshot}] {doc['q']}"

    def construct_requests(self, doc, ctx, **kwargs):
        return [Instance("loglikelihood", (ctx, f" {doc['a']}")), Instance("loglikelihood", (ctx + "?", " nothing"))]

    def process_results(self, doc, results):
        (right, greedy), (wrong, _) = results
        return {"better": float(right > wrong), "greedy": (greedy, doc["a"])}

    def aggregation(self):
        def total(values):
            return sum(a for greedy, a in values if greedy)

        def mean(values):
            return sum(values) / len(values)

        return {"better": mean, "greedy": total}

    def higher_is_better(self):
        return {"better": True, "greedy": True}
"""


def test_a_class_is_asked_and_scored_by_its_own_methods(tmp_path):
    (tmp_path / "sums_class.py").write_text(CLASS)
    (tmp_path / "t.yaml").write_text("task: sums\nclass: !function sums_class.Sums\n")
    settings = LmEvalSettings(paths=(str(tmp_path),), trust=True)
    with pytest.raises(TaskError, match=r"sums_class\.py: Sums"):
        load_task("lm-eval:sums", LmEvalSettings(paths=(str(tmp_path),)))
    task = load_task("lm-eval:sums", settings)
    assert task.request(task.items[2]).prompts[0].messages[0].content == "[0] 2 + 1 ="
    [run] = proctor.run(load_suite("lm-eval:sums", settings), Scripted(), out=tmp_path / "store")
    found = {metric.name: metric.value for metric in run.manifest.tasks[0].metrics}
    pairs = [
        (cases.loglikelihood(f"[0] {i} + 1 =", f" {i + 1}"), cases.loglikelihood(f"[0] {i} + 1 =?", " nothing"), i + 1) for i in range(5)
    ]
    assert found["better"] == sum(right[0] > wrong[0] for right, wrong, _ in pairs) / 5
    assert found["greedy"] == sum(a for right, _, a in pairs if right[1])


def test_a_model_without_likelihoods_writes_the_letter(lm_eval_folder, tmp_path):
    task = named(lm_eval_folder, "mc_plain")
    written = task.as_generation()
    request = written.request(written.items[0])
    said = rendered(request.prompt)
    assert task.items[0].fields["question"] in said
    assert f"A. {task.items[0].choices[0]}" in said
    [run] = proctor.run(load_suite("lm-eval:mc_plain", task.settings), lambda prompt: "B", out=tmp_path)
    right = sum(item.target == 1 for item in task.items) / len(task.items)
    assert run.manifest.tasks[0].main.value == pytest.approx(right)
    with pytest.raises(TaskError, match="leave out --compat"):
        named(lm_eval_folder, "mc_plain", compat=True).as_generation()
    with pytest.raises(TaskError, match="needs log-likelihoods"):
        named(lm_eval_folder, "ll_plain").as_generation()


def test_a_reference_says_how_the_task_was_put():
    settings = LmEvalSettings(paths=("a b/c", "d"), data="m.yaml", compat=True, chat="turns")
    ref = write_ref("mmlu", settings)
    assert read_ref(ref) == ("mmlu", settings)
    assert read_ref(ref, LmEvalSettings(trust=True))[1].trust
    with pytest.raises(UsageError, match="unknown key 'comat'; did you mean 'compat'"):
        read_ref("lm-eval:x?comat=lm-eval")
    with pytest.raises(UsageError, match="names no task"):
        read_ref("lm-eval:")


def test_a_run_can_be_rescored_and_is_answered_from_what_is_kept(lm_eval_folder, tmp_path):
    suite = load_suite("lm-eval:gen_plain", LmEvalSettings(paths=(str(lm_eval_folder / "tasks"),)))
    [run] = proctor.run(suite, Scripted(), out=tmp_path)
    assert load_suite(run.manifest.suite_source).hash == run.manifest.suite_hash
    [again] = proctor.run(suite, Scripted(), out=tmp_path)
    assert again.manifest.run == run.manifest.run
    with pytest.raises(UsageError, match="scored as before"):
        proctor.rescore(run, proctor.open_store(tmp_path))


@pytest.mark.parametrize(
    ("name", "shots"),
    [("mc_plain", 0), ("mc_plain", 2), ("mc_described", 0), ("gen_regex", 0), ("gen_plain", 2), ("roll_plain", 0), ("mc_prefix", 0)],
)
def test_a_converted_task_asks_the_same_and_scores_alike(name, shots, lm_eval_folder, tmp_path):
    task = named(lm_eval_folder, name).changed(shots=shots)
    files, _ = convert(task, tmp_path / "out")
    again = load_task(files[0])
    assert [item.id for item in again.items] == [item.id for item in task.items]
    if shots == 0:
        for item, other in zip(task.items, again.items, strict=True):
            ours, theirs = task.request(item), again.request(other)
            if hasattr(ours, "prompts"):
                text_, delimiter = plain_text(theirs.prompts[0]) if theirs.prompts[0].messages else ("", "")
                glue = delimiter if name != "roll_plain" else ""
                # After a question that ends in white space task files of Proctor's put no delimiter.
                if not plain_text(ours.prompts[0])[0][-1:].isspace():
                    assert plain_text(ours.prompts[0])[0] == text_
                    assert [glue + one for one in theirs.continuations] == list(ours.continuations)
            else:
                assert plain_text(ours.prompt) == (plain_text(theirs.prompt)[0], "")
                assert (ours.max_tokens, ours.stop) == (theirs.max_tokens, theirs.stop)
    else:
        assert text(again, again.items[0]).count("Answer:" if name == "mc_plain" else "A:") == shots + 1


def test_conversion_says_what_it_leaves_out(lm_eval_folder, tmp_path):
    _, notes = convert(named(lm_eval_folder, "gen_two_filters"), tmp_path)
    assert any("only 'strict-match'" in note for note in notes)
    with pytest.raises(TaskError, match="scored by code of its own"):
        convert(named(lm_eval_folder, "gen_results", trust=True), tmp_path)


def test_loading_reads_no_data(tmp_path):
    (tmp_path / "t.yaml").write_text("task: t\ndataset_path: org/not-there\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n")
    task = load_task("lm-eval:t", LmEvalSettings(paths=(str(tmp_path),)))
    assert task.name == "t"
    assert "huggingface_hub" not in sys.modules or task.spec.data.hub == "org/not-there"


class AddsBos:
    """A tokenizer that begins every text with a BOS token, a token for each character."""

    bos_token, bos_token_id, eos_token_id, chat_template = "<s>", 0, 1, None

    def __call__(self, text, add_special_tokens, verbose):
        return {"input_ids": ([0] if add_special_tokens else []) + [ord(one) for one in text]}


def test_the_harness_scores_the_bos_token_of_a_text_alone(lm_eval_folder):
    from proctor.models.rendering import Renderer

    def scored(**more):
        task = named(lm_eval_folder, "roll_plain", **more)
        request = task.request(task.items[-1])
        renderer = Renderer(AddsBos())
        [window] = renderer.scored(renderer.render(request.prompts[0]), request.continuations[0], 100)
        return window

    assert scored().tokens == (0, *map(ord, "one"))
    assert scored(compat=True).tokens == (0, 0, *map(ord, "one"))
    assert scored().start == scored(compat=True).start == 1
