"""What tells two functions apart, and what must not."""

import importlib
import os
import re
import subprocess
import sys

from proctor.models.function_state import state_hash

PATTERN = re.compile("[0-9]+")


def finds(prompt):
    return PATTERN.findall(prompt)


def made(keyword):
    space = {}
    exec(f"def answer(prompt, {keyword}): return str({keyword})", space)
    return space["answer"]


def test_names_of_arguments_tell_functions_apart():
    assert state_hash(made("seed")) != state_hash(made("max_tokens"))
    assert state_hash(made("seed")) == state_hash(made("seed"))


def test_a_pattern_can_be_told():
    assert state_hash(finds) is not None


def test_an_edited_helper_module_is_another_function(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "state_helper.py"
    user = tmp_path / "state_user.py"
    user.write_text("import state_helper\ndef answer(prompt): return state_helper.go(prompt)\n")
    source.write_text("def go(prompt): return 'one'\n")
    answer = importlib.import_module("state_user").answer
    before = state_hash(answer)
    source.write_text("def go(prompt): return 'another'\n")
    assert state_hash(answer) != before


def test_the_order_of_sets_does_not_matter(tmp_path):
    (tmp_path / "state_sets.py").write_text(
        "import enum\n"
        "class Color(enum.Enum):\n    R = 1\n    G = 2\n    B = 3\n"
        "ALLOWED = {Color.R, Color.G, Color.B}\n"
        "def answer(prompt): return str(Color.R in ALLOWED)\n"
    )
    code = "from proctor.models.function_state import state_hash; import state_sets; print(state_hash(state_sets.answer))"
    found = set()
    for seed in range(4):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert found != {"None"}
