"""Rows from data sets on the Hugging Face hub, through `huggingface_hub` alone: no script of the data set is ever run.

`HF_ENDPOINT` names another hub. Files are kept in the usual folder of huggingface_hub, the list of a commit's files in its assets
folder, so that `HF_HUB_OFFLINE=1`, or a `revision` that is a commit read before, needs no network.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proctor.errors import DataError, MissingExtra, nearest
from proctor.tasks.sources import Table
from proctor.tasks.sources.files import read_file
from proctor.tasks.sources.hub_layout import CONVERTED, glob_regex, has_data, split_files
from proctor.tasks.spec import DataSpec

_COMMIT = re.compile(r"[0-9a-f]{40}")


def read_hub(spec: DataSpec) -> tuple[list[Table], list[dict[str, Any]] | None, str]:
    """The tables of a split, the rows of the `shots` split (None where none is named), and their origin with the commit read.

    Raises:
        MissingExtra: huggingface_hub is not installed.
        DataError: no such data set, revision, configuration or split; no access; no network; a file that cannot be read.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise MissingExtra("data.hub", "hub") from None
    repo = _Repository(str(spec.hub), spec.revision)
    if not has_data(repo.files, repo.readme, repo.name):
        repo = _converted(repo, spec.revision)
    files, chosen = _chosen(repo, spec, spec.file or spec.split)
    tables = [repo.table(path) for path in files]
    shots = None
    if spec.shots is not None:
        names = [spec.shots] if isinstance(spec.shots, str) else spec.shots
        shots = [row for name in names for path in _chosen(repo, spec, name)[0] for row in repo.table(path).rows]
    at = f"@{repo.revision}" if repo.revision not in ("main", repo.commit) else ""
    return tables, shots, f"hub {repo.name}{at} {chosen}, commit {repo.commit}"


def _chosen(repo: _Repository, spec: DataSpec, name: str | None) -> tuple[list[str], str]:
    """The files of a split, or those that `data.file` names; and what was chosen."""
    if spec.file is None:
        return split_files(repo.name, repo.files, repo.readme, spec.config, name)
    pattern = glob_regex(name or "")
    files = [path for path in repo.files if pattern.fullmatch(path)]
    if not files:
        raise DataError(f"hub data set '{repo.name}' has no file '{name}'{nearest(name or '', repo.files)}")
    return files, str(name)


def _converted(repo: _Repository, revision: str | None) -> _Repository:
    """The hub's Parquet conversion of a data set that is only a script."""
    try:
        converted = _Repository(repo.name, CONVERTED)
    except DataError:
        raise DataError(
            f"hub data set '{repo.name}' has no data files, and the hub has no Parquet conversion of it (branch {CONVERTED})"
        ) from None
    if revision is not None:
        raise DataError(
            f"hub data set '{repo.name}' is only a script at revision '{revision}'; "
            f"pin a commit of its Parquet conversion instead, revision: {converted.commit}"
        )
    return converted


class _Repository:
    """A data set at one commit.

    Attributes:
        name: `org/name`.
        revision: as asked for.
        commit: that it resolved to.
        files: all paths.
        readme: text of README.md, or an empty text.
    """

    def __init__(self, name: str, revision: str | None) -> None:
        from huggingface_hub import HfApi

        self.name = name
        self.revision = revision or "main"
        self.endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        self.offline = _is_offline()
        self.api = HfApi(endpoint=self.endpoint, library_name="proctor")
        self.commit, self.files = self._kept() or self._listed()
        self.readme = self.path("README.md").read_text(encoding="utf-8", errors="replace") if "README.md" in self.files else ""

    def path(self, file: str) -> Path:
        """Where a file lies on this machine, fetched if need be."""
        with self._problems(f"its file {file}"):
            found = self.api.hf_hub_download(self.name, file, repo_type="dataset", revision=self.commit, local_files_only=self.offline)
        return Path(str(found))

    def table(self, file: str) -> Table:
        table = read_file(self.path(file), f"{self.name}/{file}")
        table.fetch = self.fetch
        return table

    def fetch(self, file: str) -> Path | None:
        """Where a file lies on this machine, fetched if need be; None where the data set has none of that name."""
        return self.path(file) if file in self.files else None

    def _folder(self) -> Path:
        from huggingface_hub import cached_assets_path

        where = re.sub(r"\W+", "-", self.endpoint) if self.endpoint else "hub"
        return Path(cached_assets_path("proctor", namespace=self.name, subfolder=where))

    def _kept(self) -> tuple[str, list[str]] | None:
        """Commit and files as listed before: of a commit always, of a branch or tag only offline, as it may have moved."""
        commit = self.revision if _COMMIT.fullmatch(self.revision) else None
        try:
            folder = self._folder()
            if commit is None and self.offline:
                commit = json.loads((folder / "revisions.json").read_bytes())[self.revision]
            if commit is not None:
                return commit, json.loads((folder / f"{commit}.json").read_bytes())
        except (OSError, ValueError, KeyError):
            pass
        if self.offline:
            raise DataError(f"hub data set '{self.name}' at revision '{self.revision}' was not read before and HF_HUB_OFFLINE is set")
        return None

    def _listed(self) -> tuple[str, list[str]]:
        from huggingface_hub.hf_api import RepoFile

        with self._problems(f"revision '{self.revision}'"):
            commit = str(self.api.dataset_info(self.name, revision=self.revision, timeout=30).sha)
            tree = self.api.list_repo_tree(self.name, recursive=True, revision=commit, repo_type="dataset")
            files = sorted(one.path for one in tree if isinstance(one, RepoFile))
        try:
            folder = self._folder()
            _write(folder / f"{commit}.json", files)
            revisions = folder / "revisions.json"
            known = json.loads(revisions.read_bytes()) if revisions.exists() else {}
            _write(revisions, {**known, self.revision: commit})
        except (OSError, ValueError):
            pass  # a cache that cannot be written to costs a request next time, not this run
        return commit, files

    @contextmanager
    def _problems(self, what: str) -> Iterator[None]:
        """huggingface_hub's exceptions as one message each."""
        from huggingface_hub import errors

        name = f"hub data set '{self.name}'"
        server = self.endpoint or "https://huggingface.co"
        try:
            yield
        except errors.GatedRepoError:
            raise DataError(
                f"{name} is gated: accept its terms at {server}/datasets/{self.name}, then log in with: hf auth login"
            ) from None
        except errors.DisabledRepoError:
            raise DataError(f"{name} has been disabled by the hub") from None
        except errors.RepositoryNotFoundError:
            raise DataError(f"{name} does not exist on {server}, or is private: check the name, or log in with: hf auth login") from None
        except errors.RevisionNotFoundError:
            raise DataError(f"{name} has no {what}; expected a commit, tag or branch of it") from None
        except errors.HFValidationError as error:
            raise DataError(f"data.hub: expected a data set as 'org/name', got '{self.name}': {str(error).splitlines()[0]}") from None
        except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
            if self.offline:
                raise DataError(f"{name}: {what} was not fetched before and HF_HUB_OFFLINE is set") from None
            raise DataError(self._unreachable(name, server, error)) from None
        except errors.EntryNotFoundError:
            raise DataError(f"{name}: {what} is not there at commit {self.revision}") from None
        except errors.HfHubHTTPError as error:
            raise DataError(f"{name}: {server} answered {error.response.status_code} when asked for {what}") from None
        except (errors.HTTPError, OSError) as error:
            raise DataError(self._unreachable(name, server, error)) from None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{name}: {server} does not answer like a hub when asked for {what}: {type(error).__name__}: {error}") from None

    def _unreachable(self, name: str, server: str, error: BaseException) -> str:
        cause = error.__cause__ or error
        reason = next(iter(str(cause).splitlines()), "") or type(cause).__name__
        return f"{name}: {server} cannot be reached: {reason}; what was read before is used with HF_HUB_OFFLINE=1"


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _write(path: Path, value: Any) -> None:
    """Whole or not at all, as several processes may read it."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)
