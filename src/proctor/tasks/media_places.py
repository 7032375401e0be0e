"""Where the files lie that a task's rows name: folders, .zip archives, the data set's own repository on the hub."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from proctor.errors import DataError
from proctor.tasks.sources import Rows
from proctor.tasks.spec import DataSpec


class Found(NamedTuple):
    """A file: its bytes, when they are wanted, and how many they are."""

    read: Callable[[], bytes]
    size: int


class Place(Protocol):
    """Somewhere files are looked for. `str()` of it is its name in messages."""

    def find(self, name: str) -> Found | None:
        """The file of that name; None where there is none. Raises `ValueError` where the name leads out of the place."""
        ...


class Folder:
    """A folder and what is below it. Rows may be other people's: nothing outside is read, but a link inside may lead out."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the link

    def __str__(self) -> str:
        return str(self.path)

    def find(self, name: str) -> Found | None:
        path = Path(os.path.abspath(self.path / name))  # noqa: PTH100
        if not path.is_relative_to(self.path):
            raise ValueError(name)
        try:
            return Found(path.read_bytes, path.stat().st_size) if path.is_file() else None
        except OSError:  # a name too long to be one
            return None


class Archive:
    """A .zip archive, opened when something in it is first looked for.

    Args:
        path: gives where it is, fetched if need be.
        name: in messages.
    """

    def __init__(self, path: Callable[[], Path], name: str) -> None:
        self._path, self._name = path, name
        self._archive: zipfile.ZipFile | None = None
        self._sizes: dict[str, int] = {}

    def __str__(self) -> str:
        return self._name

    def find(self, name: str) -> Found | None:
        if self._archive is None:
            try:
                self._archive = zipfile.ZipFile(self._path())
            except (zipfile.BadZipFile, OSError) as error:
                raise DataError(f"data.media: {self._name}: cannot be read as a .zip archive: {error}") from None
            self._sizes = {info.filename: info.file_size for info in self._archive.infolist() if not info.is_dir()}
        inside = str(PurePosixPath(name))  # without ./ at its head
        if inside not in self._sizes:
            return None
        archive = self._archive
        return Found(lambda: archive.read(inside), self._sizes[inside])


class Repository:
    """The files of a data set on the hub, fetched one by one as they are shown.

    Args:
        fetch: gives where a file of the repository is; None where it has none of that name.
        folder: that names start from.
        name: in messages.
    """

    def __init__(self, fetch: Callable[[str], Path | None], folder: str, name: str) -> None:
        self._fetch, self._folder, self._name = fetch, folder, name

    def __str__(self) -> str:
        return f"{self._name}/{self._folder}".rstrip("/")

    def find(self, name: str) -> Found | None:
        if len(name) > 1000 or name.startswith("/") or ".." in PurePosixPath(name).parts:
            return None
        path = self._fetch(str(PurePosixPath(self._folder, name)))
        return None if path is None else Found(path.read_bytes, path.stat().st_size)


def places(data: DataSpec, base: Path, rows: Rows) -> list[Place]:
    """Where the files of a task lie: `data.media` as seen from the task file, the folders of its data files, or the repository; without it
    these themselves.

    Raises:
        DataError: `data.media` is in none of them.
    """
    fetch = rows.fetch
    folders = [] if fetch is not None else list(dict.fromkeys([base, *rows.folders]))
    found: list[Place] = []
    for folder in folders:
        path = folder / data.media if data.media else folder
        if path.is_dir():
            found.append(Folder(path))
        elif data.media and path.is_file():
            found.append(Archive(_given(path), data.media))
    if fetch is not None:
        name = str(data.hub)
        if data.media and data.media.endswith(".zip"):
            found.append(Archive(_fetched(fetch, data.media), f"{name}/{data.media}"))
        else:
            found.append(Repository(fetch, data.media or "", name))
    if not found and data.media:
        raise DataError(f"data.media: there is no folder or .zip archive '{data.media}' in {_listed(folders)}")
    return found


def _given(path: Path) -> Callable[[], Path]:
    return lambda: path


def _fetched(fetch: Callable[[str], Path | None], name: str) -> Callable[[], Path]:
    def path() -> Path:
        found = fetch(name)
        if found is None:
            raise DataError(f"data.media: the data set has no file '{name}'")
        return found

    return path


def _listed(folders: Sequence[Path]) -> str:
    return " or ".join(map(str, folders))
