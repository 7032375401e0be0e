"""How every picture looks: colours, sizes, letters. Nothing of a name is ever read as mathematics."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unicodedata import east_asian_width

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from proctor.errors import UsageError
from proctor.visible import one_line

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito, without yellow and black
MARKERS = ("o", "s", "D", "^", "v", "P")
MOST_MODELS = len(COLORS)  # that colours and markers tell apart
GREY, PALE, INK = "#767676", "#D9D9D9", "#222222"
WIDTHS = {"one": 3.3, "two": 7.0}  # inches: a column and a page of most journals
LEAST, MOST = 2.5, 20.0  # inches
SIZE = 8.0  # points
FONTS = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari", "Arial Unicode MS")
STYLE: dict[str, Any] = {
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE - 1,
    "ytick.labelsize": SIZE,
    "legend.fontsize": SIZE - 0.5,
    "figure.titlesize": SIZE,
    "text.parse_math": False,
    "text.usetex": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "proctor",  # the same picture has the same ids
    "pdf.fonttype": 42,  # fonts are embedded as TrueType
}


@contextmanager
def drawing() -> Iterator[None]:
    """Within, matplotlib draws as Proctor's pictures are drawn, whatever the user has set."""
    with mpl.rc_context():
        mpl.rcdefaults()
        there = set(font_manager.get_font_names())
        settings: Any = STYLE | {"font.family": [*(name for name in FONTS if name in there), "sans-serif"]}
        mpl.rcParams.update(settings)
        yield


def inches(width: str | float) -> float:
    """A width: `one` or `two` columns, or inches. Raises `UsageError`."""
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width]
    try:
        number = float(width)
    except ValueError:
        number = 0.0
    if not LEAST <= number <= MOST:
        raise UsageError(f"width {width}: expected one (a column), two (columns), or inches from {LEAST:g} to {MOST:g}")
    return number


def cells(text: str) -> int:
    """How wide a text is, in letters; those of East Asia count two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def labels(names: Sequence[str], width: int) -> list[str]:
    """Names on one line, long ones without their middle; those that would look alike then keep more of it."""
    shown = [one_line(name) for name in names]
    while True:
        cut = [_cut(name, width) for name in shown]
        if len(set(cut)) == len(set(shown)) or width > max(map(cells, shown)):
            return cut
        width += 4


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    head, tail = text, ""
    while cells(head) > (width - 1) * 0.6:
        head = head[:-1]
    rest = text[len(head) :]
    while rest and cells(rest[-1] + tail) <= width - 1 - cells(head):
        rest, tail = rest[:-1], rest[-1] + tail
    return f"{head}…{tail}"


def name_width(width: float) -> int:
    """Letters that a name may take beside a chart so wide (inches)."""
    return max(14, min(34, round(width * 5)))


def legend_width(width: float, *, beside: bool) -> int:
    """Letters that a name may take in a legend, beside a chart or below it."""
    return 24 if beside else int(width * 72 / (SIZE * 0.62)) - 6


def wrapped(texts: Sequence[str], width: float, size: float = SIZE) -> str:
    """Lines of text that fit a figure so wide (inches)."""
    letters = int(width * 72 / (size * 0.56))
    return "\n".join(line for text in texts if text for line in textwrap.wrap(one_line(text), letters))


def plain_numbers(axis: Any) -> None:
    """Ticks as plain numbers; matplotlib would write powers as mathematics."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}".replace("-", "−")))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def column(axes: Axes, texts: Sequence[str], heights: Sequence[float], title: str, start: float, size: float = SIZE - 1) -> float:
    """A column of texts right of a chart, one at each height, `start` points from it. Returns where the next may start."""
    axes.annotate(title, (1, 1), (start, 2), xycoords="axes fraction", textcoords="offset points", fontsize=size, color=GREY, va="bottom")
    for text, height in zip(texts, heights, strict=True):
        where = axes.get_yaxis_transform()
        axes.annotate(text, (1, height), (start, 0), xycoords=where, textcoords="offset points", fontsize=size, va="center")
    return start + size * (0.62 * max(map(cells, [*texts, title])) + 1)
