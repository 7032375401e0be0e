"""The store: a folder of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import StoreError, UsageError, nearest
from proctor.results.attempts import reading_attempts
from proctor.results.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    import polars as pl

DEFAULT_STORE = Path("proctor-results")


class Run:
    """One model over one suite: a folder with `manifest.json`, `journal.jsonl` and, when complete, `attempts.parquet`.

    Raises:
        StoreError: the folder is not a run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)

    def __repr__(self) -> str:
        return f"Run({self.manifest.run!r}, {self.manifest.state})"

    @property
    def attempts_path(self) -> Path:
        return self.folder / "attempts.parquet"

    def attempts(self) -> pl.DataFrame:
        """The attempts, one row each, as a Polars frame. Raises `StoreError` while the run is not complete."""
        import polars as pl

        if not self.attempts_path.exists():
            raise StoreError(
                f"run '{self.manifest.run}' is {self.manifest.state}: it has no attempts.parquet yet; continue it with: proctor run"
            )
        with reading_attempts(self.attempts_path):
            return pl.read_parquet(self.attempts_path)

    def samples(self, task: str, limit: int) -> list[dict[str, Any]]:
        """At most `limit` attempts of a task as dictionaries, of every state and score there is; none while the run is incomplete."""
        import polars as pl

        if not self.attempts_path.exists():
            return []
        rows = pl.scan_parquet(self.attempts_path).filter(pl.col("task") == task).with_row_index("place")
        # One of each kind, then a second of each, and so on; printed in plan order.
        turn = pl.col("place").rank("ordinal").over("state", "score").alias("turn")
        chosen = rows.with_columns(turn).sort("turn", "place").head(limit).sort("place").drop("place", "turn")
        with reading_attempts(self.attempts_path):
            return chosen.collect().to_dicts()


class Store:
    """A folder of runs.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: Path | str = DEFAULT_STORE) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    def runs(self) -> Iterator[Run]:
        """Every run, by folder name. Folders that are no runs are passed over; a damaged manifest raises `StoreError`."""
        if not self.path.is_dir():
            return
        for folder in sorted(self.path.iterdir()):
            if (folder / "manifest.json").exists():
                yield Run(folder)

    def manifests(self) -> list[Manifest]:
        """The manifests of all runs."""
        return [run.manifest for run in self.runs()]

    def run(self, name: str) -> Run:
        """A run by id, or by the beginning of one. Raises `UsageError` for none or several."""
        folders = [folder.name for folder in self.path.iterdir() if (folder / "manifest.json").exists()] if self.path.is_dir() else []
        found = [name] if name in folders else [folder for folder in folders if folder.startswith(name)]
        if len(found) != 1:
            what = f"{len(found)} runs begin with" if found else "no run is named"
            raise UsageError(f"{self.path}: {what} '{name}'{nearest(name, folders) or ';'} `proctor list runs` lists them")
        return Run(self.path / found[0])

    def attempts(self) -> pl.DataFrame:
        """The attempts of every complete run, as one Polars frame."""
        import polars as pl

        from proctor.results.columns import schema

        frames = [run.attempts() for run in self.runs() if run.attempts_path.exists()]
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=schema())


def open_store(path: Path | str = DEFAULT_STORE) -> Store:
    """The store in a folder. Raises `UsageError` where there is no such folder."""
    if not Path(path).is_dir():
        raise UsageError(f"{path}: no such folder; `proctor run` creates one, --out names another")
    return Store(path)
