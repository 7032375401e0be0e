"""A figure that looks the same wherever it is drawn, and its bytes: the same numbers give the same file."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from proctor.errors import StoreError
from proctor.reports.figures.forms import form_of
from proctor.reports.figures.style import SIZE, drawing, wrapped

P = ParamSpec("P")
# Neither a date nor a version: what is drawn alone decides the bytes.
METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "Proctor"},
    "pdf": {"CreationDate": None, "Creator": "Proctor", "Producer": None},
    "png": {"Software": None},
}


class Picture(Figure):
    """A matplotlib figure of Proctor's. `save(PATH)` writes it; a notebook shows it as it is.

    Attributes:
        unlettered: characters that no installed font has, known once it was drawn; in an SVG the reader's fonts draw them.
    """

    unlettered: str = ""

    def draw(self, renderer: Any) -> None:
        """As matplotlib does, in Proctor's style."""
        with drawing(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            super().draw(renderer)
        found = [re.search(r"Glyph (\d+) ", str(one.message)) for one in said]
        self.unlettered = "".join(sorted({chr(int(one[1])) for one in found if one} | set(self.unlettered)))

    def save(self, path: Path | str) -> Path:
        """Write it as SVG, PDF or PNG, by the path's suffix.

        Raises:
            UsageError: another suffix.
            StoreError: the file cannot be written.
        """
        path = Path(path)
        form = form_of(path)
        content = self.content(form)
        try:
            path.write_bytes(content)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}") from None
        return path

    def content(self, form: str) -> bytes:
        """The bytes of the picture; `form` is one of `FORMS`."""
        kept = io.BytesIO()
        with drawing():
            self.savefig(kept, format=form, metadata=METADATA[form])
        return kept.getvalue()

    def _repr_png_(self) -> bytes:
        return self.content("png")

    def _repr_svg_(self) -> str:
        return self.content("svg").decode()


def drawn(make: Callable[P, Picture]) -> Callable[P, Picture]:
    """For functions that make a picture: they make it in Proctor's style."""

    @wraps(make)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with drawing():
            return make(*args, **kwargs)

    return inside


def picture(width: float, height: float, title: str, notes: Sequence[str] = ()) -> Picture:
    """An empty one, in inches; the title and notes stand above it, and make it higher."""
    text = wrapped([title, *notes], width)
    lines = text.count("\n") + 1 if text else 0
    made = Picture(figsize=(width, height + lines * SIZE * 1.25 / 72), layout="constrained")
    FigureCanvasAgg(made)
    if text:
        made.suptitle(text, x=0.01, ha="left", fontsize=SIZE)
    return made


def legend(on: Picture, handles: Sequence[Any], names: Sequence[str], *, beside: bool) -> None:
    """A legend beside or below the chart. Names are set once it is there: matplotlib leaves out those that begin with `_`."""
    where: Any = {"loc": "outside right center"} if beside else {"loc": "outside lower left"}
    made = on.legend(handles, [f"{place}" for place in range(len(names))], **where)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(name)


def key(color: str, marker: str = "o", line: bool = False, filled: bool = True) -> Line2D:
    """What stands in a legend for a model."""
    return Line2D(
        [], [], color=color, marker=marker, markersize=4, linestyle="-" if line else "none", markerfacecolor=color if filled else "white"
    )
