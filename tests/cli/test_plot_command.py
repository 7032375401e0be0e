"""`proctor plot`, as it is typed."""

import proctor
from proctor.cli.plot import KINDS


def test_it_writes_what_is_asked_for(tmp_path, type_in):
    task = proctor.Task(task="sums", data=[{"q": f"1 + {k}", "target": k + 1} for k in range(8)], prompt="{{ q }} =", scoring="numeric")
    proctor.run(task, [lambda prompt: str(eval(prompt.rstrip(" ="))), "baseline:majority"], out=tmp_path / "store")
    figure = tmp_path / "figure.svg"
    out = type_in("plot", "forest", "majority", "lambda", "-o", str(figure), "--store", str(tmp_path / "store"), "--width", "one")
    assert out == f"wrote {figure}\n"
    assert b"baseline:majority" in figure.read_bytes()
    for command, said in (
        (("leaderboard", "-o", "f.gif"), "expected a name that ends in .svg, .pdf or .png"),
        (("bars", "majorty", "-o", "f.svg"), "no model 'majorty'"),
        (("leaderboard", "-o", "f.svg", "--width", "0.1"), "inches from 2.5 to 20"),
    ):
        type_in("plot", *command, "--store", str(tmp_path / "store"), code=2)
        assert said in type_in.err
    (tmp_path / "none").mkdir()
    type_in("plot", "leaderboard", "-o", "f.svg", "--store", str(tmp_path / "none"), code=2)
    assert "no runs yet" in type_in.err


def test_the_kinds_are_those_there_are():
    from typing import get_args

    from proctor.reports.figures.kinds import Kind

    assert get_args(Kind) == KINDS
