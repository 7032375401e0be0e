"""The number that a suite's file says its tasks become."""

from __future__ import annotations

import typing

import proctor
from proctor.analysis.aggregate import COMPOSITES
from proctor.cli.leaderboard import COMPOSITES as OFFERED
from proctor.reports.ranking import ranked_boards
from proctor.tasks.spec import SuiteSpec

TASK = """task: {name}
data: [{{q: a, c: [x, y], target: x}}, {{q: b, c: [x, y], target: {second}}}]
item: {{choices: c}}
prompt: '{{{{ q }}}}'
response: choice
"""


def test_a_suite_says_which_and_the_command_line_may_say_another(tmp_path):
    (tmp_path / "one.yaml").write_text(TASK.format(name="one", second="y"))
    (tmp_path / "two.yaml").write_text(TASK.format(name="two", second="x"))
    for declared, expected in (("composite: macro\n", 0.75), ("", 0.5)):
        (tmp_path / "s.yaml").write_text(f"suite: s\n{declared}tasks: [one, two]\n")
        [run] = proctor.run(tmp_path / "s.yaml", lambda prompt: "A", out=tmp_path / (declared[:3] or "none"))
        [board] = ranked_boards([run])
        assert board.rows[0].composite.value == expected  # accuracies 0.5 and 1; 0 and 1 after chance
        assert ranked_boards([run], "minimum")[0].rows[0].composite.value == 0
        assert ("macro" if declared else "chance-corrected") == board.composite


def test_what_a_file_may_say_is_what_there_is():
    said = typing.get_args(typing.get_type_hints(SuiteSpec)["composite"])
    assert list(said) == list(COMPOSITES) == list(OFFERED)
