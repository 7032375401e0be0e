"""The store: a folder of runs, or a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import StoreError, UsageError, nearest
from proctor.results.attempts import reading_attempts
from proctor.results.bucket import RECORD, Bucket, bucket_url, of_folder
from proctor.results.manifest import Manifest, read_manifest
from proctor.results.notebook import run_html

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

    def _repr_html_(self) -> str:
        return run_html(self.manifest)

    @property
    def location(self) -> str:
        """Where it is: its folder, or its address in a bucket."""
        bucket = of_folder(self.folder)
        return f"{bucket.url}/{self.folder.name}" if bucket else str(self.folder)

    @property
    def attempts_path(self) -> Path:
        """The file of attempts, fetched first where the run is in a bucket. There is none while the run is not complete."""
        path = self.folder / "attempts.parquet"
        if not path.exists() and (self.folder / RECORD).exists():
            bucket = of_folder(self.folder)
            if bucket:
                bucket.fetch_attempts(self.folder)
        return path

    def attempts(self) -> pl.DataFrame:
        """The attempts, one row each, as a Polars frame. Raises `StoreError` while the run is not complete."""
        import polars as pl

        path = self.attempts_path
        if not path.exists():
            if self.manifest.state == "complete":
                raise StoreError(f"run '{self.manifest.run}' holds numbers only: it has no attempts.parquet")
            raise StoreError(
                f"run '{self.manifest.run}' is {self.manifest.state}: it has no attempts.parquet yet; continue it with: proctor run"
            )
        with reading_attempts(path):
            return pl.read_parquet(path, glob=False)

    def samples(self, task: str, limit: int) -> list[dict[str, Any]]:
        """At most `limit` attempts of a task as dictionaries, of every state and score there is; none while the run is incomplete."""
        import polars as pl

        path = self.attempts_path
        if not path.exists():
            return []
        rows = pl.scan_parquet(path, glob=False).filter(pl.col("task") == task).with_row_index("place")
        # One of each kind, then a second of each, and so on; printed in plan order.
        turn = pl.col("place").rank("ordinal").over("state", "score").alias("turn")
        chosen = rows.with_columns(turn).sort("turn", "place").head(limit).sort("place").drop("place", "turn")
        with reading_attempts(path):
            return chosen.collect().to_dicts()


class Store:
    """A folder of runs, or a bucket of them.

    Args:
        path: the folder, which need not exist yet; or the address of a bucket, such as `s3://BUCKET/FOLDER`.

    Raises:
        UsageError: an address that is no bucket's.
        MissingExtra: a bucket, and the extra `bucket` is not installed.
    """

    def __init__(self, path: Path | str = DEFAULT_STORE) -> None:
        url = bucket_url(path)
        self._bucket = Bucket(url) if url else None
        self._folder = self._bucket.mirror if self._bucket else Path(path)
        self._pulled = self._bucket is None

    def __repr__(self) -> str:
        return f"Store({self.location!r})"

    @property
    def location(self) -> str:
        """The folder, or the address of the bucket."""
        return self._bucket.url if self._bucket else str(self._folder)

    @property
    def path(self) -> Path:
        """The folder; of a bucket, its mirror here, brought up to date when first asked for. Raises `StoreError` where it cannot be."""
        if self._bucket and not self._pulled:
            self._bucket.pull()
            self._pulled = True
        return self._folder

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
            raise UsageError(f"{self.location}: {what} '{name}'{nearest(name, folders) or ';'} `proctor list runs` lists them")
        return Run(self.path / found[0])

    def attempts(self) -> pl.DataFrame:
        """The attempts of every complete run, as one Polars frame."""
        import polars as pl

        from proctor.results.columns import schema

        frames = [run.attempts() for run in self.runs() if run.attempts_path.exists()]
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=schema())

    def scores(self) -> pl.DataFrame:
        """The results of every run, one row per task and metric. `docs/how-to/query-the-store.md` lists the columns."""
        from proctor.results.sql import scores_frame

        return scores_frame(self.manifests())

    def sql(self, query: str) -> pl.DataFrame:
        """What a query in DuckDB's SQL gives over the tables `attempts`, `items`, `scores` and `runs`.

        Args:
            query: one statement, or several, of which the last counts.

        Raises:
            UsageError: the query is wrong; DuckDB's message, with the place.
            StoreError: a file of attempts is damaged.
            MissingExtra: the extra `sql` is not installed.
        """
        from proctor.results.sql import query_store

        return query_store(self, query)

    def publish(self, run: Run) -> None:
        """Upload a complete run that was made in the mirror of this bucket, where the bucket has not got it; of a folder, do nothing.

        Raises:
            StoreError: the bucket cannot be written; the run stays complete in the mirror, and the next call uploads it.
        """
        if self._bucket:
            self._bucket.publish(run.folder)


def open_store(path: Path | str = DEFAULT_STORE) -> Store:
    """The store in a folder or bucket. Raises `UsageError` where there is no such folder, `StoreError` where the bucket cannot be read."""
    store = Store(path)
    if not store.path.is_dir() and store.location == str(store.path):
        raise UsageError(f"{path}: no such folder; `proctor run` creates one, --out names another")
    return store
