"""The commits that benchmark files pin, and what docs/benchmarks.md says of them."""

from __future__ import annotations

import re
from pathlib import Path

from proctor.tasks.load import benchmark_files

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def pins() -> dict[str, set[str | None]]:
    """Commits by data set of the hub, the examinations of AGIEval as one."""
    found: dict[str, set[str | None]] = {}
    for data in (spec.data for _, file in benchmark_files() for spec in file.specs):
        if data is not None and data.hub is not None:
            found.setdefault(re.sub("(?<=^hails/agieval-).*", "", data.hub), set()).add(data.revision)
    return found


def test_a_pin_is_one_commit_for_each_data_set() -> None:
    found = pins()
    assert len(found) > 40
    for name, revisions in found.items():
        assert len(revisions) == 1, name
        assert all(one is None or re.fullmatch("[0-9a-f]{40}", one) for one in revisions), name


def test_no_two_data_sets_have_one_commit() -> None:
    commits = [one for revisions in pins().values() for one in revisions if one]
    assert len(set(commits)) == len(commits)


def test_the_page_says_what_is_pinned() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for name, (revision,) in pins().items():
        about = [row for row in rows if f"`{name}" in row or f" {name}" in row]
        sources = " ".join(row.split(" | ")[2] for row in about)
        if revision is None:
            assert "not pinned" in sources or "--data" in sources, name
        elif about:
            assert "not pinned" not in sources, name
            assert "pinned" in sources or revision[:8] in sources, name
