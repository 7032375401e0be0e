"""Pictures: their numbers are the tables', their text stands free, their files open and are the same each time."""

import io
import itertools
import math
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.text import Text
from PIL import Image

import proctor
from proctor.errors import MissingExtra, UsageError
from proctor.reports.board_data import corrected_interval
from proctor.reports.figures.kinds import Asked, make_picture
from proctor.reports.figures.skills import _in_lines
from proctor.reports.figures.style import labels
from proctor.reports.heat_maps import heat_maps
from proctor.reports.leaderboard import task_score
from proctor.reports.profile import full_profile
from proctor.reports.ranking import ranked_boards
from proctor.reports.tables import composite_text, rank_text
from proctor.results.importers.base import ImportedRun, ImportedTask
from proctor.results.importers.write import write_imports
from proctor.results.manifest import MetricResult
from proctor.results.store import Store

ACC = MetricResult("acc", None, None)
HOSTILE = [
    "a $x_1$ model",
    "_begins_low",
    "組織/模型-七十億-指示",
    "<b>&amp;</b>\x1b[31m",
    r"\frac{1}{2}%#",
    "very/" + "long-" * 30 + "name",
]
TASKS = ("reading", "logic", "a_task_with_a_long_name", "sums", "dates")


def task(name, scores, metric=ACC):
    rows = [(f"{name}{k}", float(score)) for k, score in enumerate(scores)]
    frame = pl.DataFrame({"item": [item for item, _ in rows], "score": [score for _, score in rows], "answer": ["x"] * len(rows)})
    return ImportedTask(name, frame, [metric])


def scores(model, task, items=24):
    return [int((item * 7 + model * 5 + task * 3) % 11 < 3 + model % 6 + task) for item in range(items)]


@pytest.fixture
def store(tmp_path):
    """Writes models, each with all tasks but those it lacks."""
    (tmp_path / "source").write_bytes(b"x")

    def made(names, lacking=(), tasks=TASKS):
        runs = [
            ImportedRun(
                model=name,
                suite="s",
                tasks=[task(one, scores(place, at)) for at, one in enumerate(tasks) if (name, one) not in lacking],
                sources=[tmp_path / "source"],
                tool="tool 1",
            )
            for place, name in enumerate(names)
        ]
        write_imports(Store(tmp_path / "store"), "x", runs)
        return list(Store(tmp_path / "store").runs())

    return made


def by_gid(picture, start):
    return list(picture.findobj(lambda one: (one.get_gid() or "").startswith(start)))


def texts(picture):
    """Texts that are drawn, with their boxes."""
    picture.draw_without_rendering()
    renderer = picture.canvas.get_renderer()
    sides = [axis for axes in picture.axes for axis in (axes.xaxis, axes.yaxis)]
    kept = {label for axis in sides for tick in axis._update_ticks() for label in (tick.label1, tick.label2)}
    stale = {label for axis in sides for tick in (*axis.majorTicks, *axis.minorTicks) for label in (tick.label1, tick.label2)} - kept
    drawn = [one for one in picture.findobj(Text) if one.get_visible() and one.get_text().strip() and one not in stale]
    return [(one.get_text(), one.get_window_extent(renderer)) for one in drawn]


def overlaps(picture):
    return [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(texts(picture), 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]


def outside(picture):
    width, height = picture.bbox.width, picture.bbox.height
    return [text for text, box in texts(picture) if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1]


KINDS = {
    "leaderboard": Asked(),
    "one task": Asked(tasks=["logic"]),
    "radar": Asked(models=["m0", "m1", "m2"]),
    "bars": Asked(models=["m0", "m1", "m2"]),
    "forest": Asked(models=["m0", "m1", "m2"]),
    "forest of one": Asked(models=["m0", "m1"]),
    "pareto": Asked(against="time"),
    "heatmap": Asked(),
}


def kind_of(name):
    return {"one task": "leaderboard", "forest of one": "forest"}.get(name, name)


def with_time(runs):
    """Imports know no time; pictures of it need some."""
    for place, run in enumerate(runs):
        run.manifest.seconds = 10.0 * 1.3**place
        run.manifest.provenance = None
    return runs


@pytest.mark.parametrize("width", ["one", "two"])
@pytest.mark.parametrize("name", KINDS)
def test_no_text_stands_on_another_or_off_the_page(store, name, width):
    runs = with_time(store(["m0", "m1", "m2", "m3-of-a-much-longer-name-than-the-others"], {("m2", "sums")}))
    asked = KINDS[name]
    picture = make_picture(runs, kind_of(name), Asked(models=asked.models, tasks=asked.tasks, against=asked.against, width=width))
    assert len(texts(picture)) > 4
    assert overlaps(picture) == []
    assert outside(picture) == []


@pytest.mark.parametrize("kind", ["leaderboard", "heatmap"])
def test_thirty_models_are_legible(store, kind):
    picture = make_picture(store([f"organisation/model-{k}-instruct-2026" for k in range(30)]), kind, Asked())
    assert overlaps(picture) == []
    assert outside(picture) == []


@pytest.mark.parametrize("width", ["one", "two"])
def test_thirty_points_are_named_where_there_is_room(store, width):
    names = [f"organisation/model-{k}" for k in range(30)]
    picture = make_picture(with_time(store(names)), "pareto", Asked(width=width))
    assert overlaps(picture) == []
    assert outside(picture) == []
    said = " ".join(text.replace("\n", " ") for text, _ in texts(picture))
    assert all(f"model-{k}" in said for k in range(30))
    assert picture.axes[0].get_window_extent().height > 100


def test_the_bars_are_the_leaderboard(store):
    runs = store(["m0", "m1", "m2", "m3"], {("m2", "sums")})
    (board,) = ranked_boards(runs)
    picture = make_picture(runs, "leaderboard", Asked())
    said = [text for text, _ in texts(picture)]
    bars = {one.get_gid(): one.get_width() for one in by_gid(picture, "bar-")}
    spans = sorted(tuple(line[:, 0]) for group in picture.axes[0].collections for line in group.get_segments())
    assert len(bars) == 3
    for place, row in enumerate(board.rows):
        if row.composite.value is None:
            assert f"bar-{place}" not in bars
            assert "no result on sums" in said
            continue
        assert bars[f"bar-{place}"] == pytest.approx(100 * row.composite.value)
        assert composite_text(board, row) in said
        assert rank_text(row) in said
    wanted = sorted((100 * row.composite.low, 100 * row.composite.high) for row in board.rows if row.composite.value is not None)
    assert spans == [pytest.approx(one) for one in wanted]
    assert "chance" in said


def test_the_line_of_people_and_lower_is_better(store):
    runs = store(["m0", "m1"], tasks=("logic",))
    for run in runs:
        (result,) = run.manifest.tasks
        turned = MetricResult("wer", result.main.value, result.main.stderr, higher_is_better=False)
        run.manifest.tasks = [proctor_replace(result, human=0.05, metrics=[turned])]
    picture = make_picture(runs, "leaderboard", Asked(tasks=["logic"]))
    said = [text for text, _ in texts(picture)]
    assert "human" in said
    assert any("lower is better" in text for text in said)
    lengths = [one.get_width() for one in sorted(by_gid(picture, "bar-"), key=lambda one: one.get_gid())]
    assert lengths == sorted(lengths)
    # m1 makes more mistakes: worse, so its difference stands left of 0.
    forest = make_picture(runs, "forest", Asked(models=["m0", "m1"]))
    pair = proctor.compare(runs, "m0", "m1").pairs[0]
    drawn = [one.get_xdata()[0] for one in by_gid(forest, "difference-")]
    assert drawn[-1] == pytest.approx(-100 * pair.difference.tasks[0].difference)
    assert pair.difference.tasks[0].difference > 0


def proctor_replace(struct, **more):
    import msgspec

    return msgspec.structs.replace(struct, **more)


@pytest.mark.parametrize("kind", ["radar", "bars"])
def test_radar_and_bars_are_the_profile(store, kind):
    runs = store(["m0", "m1"], {("m1", "sums")})
    picture = make_picture(runs, kind, Asked(models=["m0", "m1"]))
    for place, model in enumerate(["m0", "m1"]):
        (part,) = full_profile(runs, model).parts
        wanted = {one.task: 100 * one.score for one in part.standings.standings}
        if kind == "radar":
            (line,) = by_gid(picture, f"model-{place}")
            drawn = line.get_ydata()[:-1]
            assert [math.isnan(one) for one in drawn] == [name not in wanted for name in part.board.tasks]
            assert [one for one in drawn if not math.isnan(one)] == pytest.approx(list(wanted.values()))
        else:
            drawn = [one.get_xdata()[0] for one in by_gid(picture, f"dot-{place}")]
            assert drawn == pytest.approx(list(wanted.values()))
            spans = [tuple(one.get_xdata()) for one in picture.axes[0].lines]
            for result in part.row.tasks.values():
                low, high = corrected_interval(result)
                assert any(one == pytest.approx((100 * low, 100 * high)) for one in spans)
    said = [text for text, _ in texts(picture)]
    assert "m1 (1 missing)" in said
    if kind == "radar":
        axes = [one.get_text().replace("\n", "") for one in by_gid(picture, "axis")]
        assert axes == list(part.board.tasks)


def test_the_forest_is_the_comparison(store):
    runs = store(["m0", "m1", "m2"])
    picture = make_picture(runs, "forest", Asked(models=["m0", "m2", "m1"]))
    for place, pair in enumerate(proctor.compare(runs, "m0", "m2", "m1").pairs):
        drawn = sorted(by_gid(picture, f"difference-{place}"), key=lambda one: one.get_ydata()[0])
        by_task = {one.task: one for one in pair.difference.tasks}
        wanted = [pair.difference.overall, *(by_task[name] for name in pair.board.tasks)]
        assert [one.get_xdata()[0] for one in drawn] == pytest.approx([100 * one.difference for one in wanted])
        filled = [one.get_markerfacecolor() != "white" for one in drawn]
        assert filled == [bool(one.verdict()) for one in wanted]
        spans = [tuple(one.get_xdata()) for one in picture.axes[0].lines]
        assert all(any(span == pytest.approx((100 * one.low, 100 * one.high)) for span in spans) for one in wanted)


def test_the_front_and_what_is_missing(store):
    runs = with_time(store(["m0", "m1", "m2"], {("m2", "sums")}))
    picture = make_picture(runs, "pareto", Asked(against="time"))
    (board,) = ranked_boards(runs)
    drawn = {(one.get_xdata()[0], round(one.get_ydata()[0], 9)) for one in by_gid(picture, "point-")}
    assert drawn == {(row.seconds, round(100 * row.composite.value, 9)) for row in board.rows if row.composite.value is not None}
    assert any("Not shown" in text and "m2" in text for text, _ in texts(picture))
    with pytest.raises(UsageError, match="known cost"):
        make_picture(runs, "pareto", Asked(against="cost"))


def test_the_heat_map_is_the_leaderboard(store):
    runs = store(["m0", "m1"], {("m1", "sums")})
    (board,) = ranked_boards(runs)
    picture = make_picture(runs, "heatmap", Asked())
    cells = {one.get_gid(): one.get_text() for one in by_gid(picture, "cell-")}
    (mesh,) = [one for one in picture.axes[0].collections if one.get_array() is not None]
    colors = mesh.get_array().reshape(2, 5)
    for down, row in enumerate(board.rows):
        for across, name in enumerate(board.tasks):
            if name not in row.tasks:
                assert f"cell-{down}-{across}" not in cells
                assert colors.mask[down, across]
                continue
            assert cells[f"cell-{down}-{across}"] == f"{100 * row.tasks[name].main.value:.1f}"
            assert colors[down, across] == pytest.approx(task_score(row.tasks[name]).corrected)
    assert len(by_gid(picture, "missing")) == 1


def test_named_models_stand_in_the_boards_order(store):
    runs = store(["m0", "m1", "m2"])
    (board,) = ranked_boards(runs)
    best = [row.label for row in board.rows if row.label != "m1"]
    for kind in ("leaderboard", "heatmap"):
        picture = make_picture(runs, kind, Asked(models=list(reversed(best))))
        assert [one.get_text() for one in picture.axes[0].get_yticklabels()] == best


def test_the_grid_is_the_heat_map(tmp_path):
    rows = [{"q": f"{k}", "target": k % 3, "depth": k % 2, "size": 10 * (k % 3)} for k in range(12) if k % 6 != 5]
    keys = {"item": {"metadata": ["depth", "size"]}, "prompt": "{{ q }}", "scoring": "numeric"}
    (run,) = proctor.run(proctor.Task(task="grid", data=rows, **keys), lambda prompt: "1", out=tmp_path)
    (laid,) = heat_maps([run], "lambda", "grid", ["depth", "size"])
    picture = make_picture([run], "heatmap", Asked(models=["lambda"], tasks=["grid"], axes=["depth", "size"]))
    axes = picture.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == laid.axes
    cells = {one.get_gid(): one.get_text() for one in by_gid(picture, "cell-")}
    for (down, across), mean in np.ndenumerate(laid.map.means):
        assert cells.get(f"cell-{down}-{across}") == (None if math.isnan(mean) else f"{100 * mean:.0f}")
    assert len(by_gid(picture, "missing")) == np.isnan(laid.map.means).sum() == 1


@pytest.fixture
def choices(tmp_path):
    """A model of its own over choices by likelihood."""
    rows = [{"id": f"i{k}", "q": "?" * (k + 1), "choices": ["a", "b"], "target": k % 2} for k in range(20)]
    made = proctor.Task(task="picks", data=rows, prompt="{{ q }}", item={"choices": "choices"}, response={"kind": "choice"})
    (run,) = proctor.run(made, "baseline:random", out=tmp_path / "choices")
    return run


def test_the_reliability_diagram_is_the_profiles(choices):
    (part,) = full_profile([choices], "random").parts
    (told,) = part.detail.confidence
    assert overlaps(make_picture([choices], "calibration", Asked(width="one"))) == []
    picture = make_picture([choices], "calibration", Asked())
    (line,), (risk,) = by_gid(picture, "reliability"), by_gid(picture, "risk")
    heights = [one.get_height() for axes in picture.axes for group in axes.containers for one in group]
    assert sum(heights) == told.items
    assert sum(h * y for h, y in zip(heights, line.get_ydata(), strict=True)) / told.items == pytest.approx(told.accuracy)
    assert sum(h * x for h, x in zip(heights, line.get_xdata(), strict=True)) / told.items == pytest.approx(told.confidence)
    assert risk.get_ydata()[-1] == pytest.approx(1 - told.accuracy)
    assert any(f"smECE {told.smooth_ece.value:.3f}" in text for text, _ in texts(picture))
    assert overlaps(picture) == []


def test_files_open_and_are_the_same_each_time(store, tmp_path):
    runs = store(["m0", "m1"])
    found = {form: [make_picture(runs, "leaderboard", Asked()).content(form) for _ in range(2)] for form in ("png", "svg", "pdf")}
    assert all(one == other for one, other in found.values())
    with Image.open(io.BytesIO(found["png"][0])) as image:
        image.load()
        assert image.width == 2100
    said = "".join(ElementTree.fromstring(found["svg"][0]).itertext())
    assert "m0" in said
    assert "Proctor" in said
    assert "1970" not in said
    assert found["pdf"][0].startswith(b"%PDF-1.")
    assert b"/FontFile2" in found["pdf"][0]
    assert b"CreationDate" not in found["pdf"][0]
    for form in ("png", "svg", "pdf"):
        path = make_picture(runs, "leaderboard", Asked()).save(tmp_path / f"fig.{form.upper()}")
        assert path.read_bytes() == found[form][0]


@pytest.mark.parametrize("kind", ["leaderboard", "radar", "bars", "forest", "heatmap"])
def test_hostile_names_are_text(store, kind):
    runs = store(HOSTILE)
    picture = make_picture(runs, kind, Asked(models=HOSTILE))
    said = "".join(ElementTree.fromstring(picture.content("svg")).itertext())
    for name in HOSTILE[:3]:
        assert name in said or kind == "forest"
    assert "$x_1$" in said
    assert "mathdefault" not in said
    assert "\x1b" not in said
    assert not any(text.get_parse_math() for text in picture.findobj(Text) if text.get_text())
    Image.open(io.BytesIO(picture.content("png"))).load()
    assert outside(picture) == []


def test_a_users_settings_change_nothing(store):
    runs = store(["m0", "m1"])
    plain = make_picture(runs, "bars", Asked(models=["m0", "m1"])).content("png")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "lines.linewidth": 9, "savefig.dpi": 30}):
        assert make_picture(runs, "bars", Asked(models=["m0", "m1"])).content("png") == plain


def test_names_cut_short_stay_apart():
    names = ["organisation/model-of-a-long-name-a-instruct", "organisation/model-of-a-long-name-b-instruct", "short"]
    cut = labels(names, 14)
    assert len(set(cut)) == 3
    assert cut[2] == "short"
    assert all("…" in one or one in names for one in cut)


def test_mistakes_are_said(store, monkeypatch):
    runs = store([f"m{k}" for k in range(8)])
    for kind, asked, said in (
        ("leaderbord", Asked(), "did you mean 'leaderboard'"),
        ("radar", Asked(), "8 models are too many"),
        ("bars", Asked(models=["m9"]), "no model 'm9'"),
        ("forest", Asked(models=["m0"]), "BASELINE MODEL"),
        ("calibration", Asked(), "of one model"),
        ("calibration", Asked(models=["m0"]), "no confidences"),
        ("leaderboard", Asked(suite="t"), "no run of a suite named 't'"),
        ("leaderboard", Asked(tasks=["logik"]), "did you mean 'logic'"),
        ("leaderboard", Asked(width="wide"), "inches"),
        ("leaderboard", Asked(composite="marco"), "did you mean 'macro'"),
        ("heatmap", Asked(tasks=["logic"]), "of one model"),
    ):
        with pytest.raises(UsageError, match=said):
            make_picture(runs, kind, asked)
    with pytest.raises(UsageError, match="no runs"):
        make_picture([], "radar", Asked())
    with pytest.raises(UsageError, match=r"\.svg, \.pdf or \.png"):
        make_picture(runs, "heatmap", Asked()).save("figure.jpg")


def test_without_matplotlib_the_extra_is_named(store, monkeypatch):
    import sys

    runs = store(["m0"])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("proctor.reports.figures.") and not name.endswith(("kinds", "forms"))]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match=r"proctor-eval\[plots\]"):
        make_picture(runs, "leaderboard", Asked())


def test_a_notebook_shows_runs_tables_and_pictures(store):
    runs = store(["<script>", "m1"])
    assert "&lt;script&gt;" in runs[0]._repr_html_() + runs[1]._repr_html_()
    assert "<script>" not in runs[0]._repr_html_() + runs[1]._repr_html_()
    value, stderr = runs[0].manifest.tasks[0].main.value, runs[0].manifest.tasks[0].main.stderr
    assert f"{value:.3f} ± {stderr:.3f}" in runs[0]._repr_html_()
    for shown in (proctor.leaderboard(runs), proctor.profile(runs, "m1"), proctor.compare(runs, "m1", "<script>")):
        assert shown._repr_html_().startswith("<pre")
        assert "<script>" not in shown._repr_html_()
    picture = proctor.plot(runs, "bars", "m1", by="domain")
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert "</svg>" in picture._repr_svg_()


def test_a_long_name_is_broken_where_its_words_are_joined():
    assert _in_lines("word_problems") == "word_problems"
    assert _in_lines("blimp/irregular_plurals") == "blimp/\nirregular_\nplurals"
    assert _in_lines("a" * 20) == f"{'a' * 14}\n{'a' * 6}"
