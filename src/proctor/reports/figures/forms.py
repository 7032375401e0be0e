"""The forms in which a picture is written."""

from __future__ import annotations

from pathlib import Path

from proctor.errors import UsageError, nearest

FORMS = ("svg", "pdf", "png")


def form_of(path: Path) -> str:
    """The form that a path's suffix names. Raises `UsageError`."""
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise UsageError(f"{path}: expected a name that ends in .svg, .pdf or .png{nearest(form, FORMS)}")
    return form
