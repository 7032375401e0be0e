"""Which batches have been handed in, kept on disk so that a run that was killed finds them again and pays for nothing twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from proctor.errors import ModelError
from proctor.models.file_hash import cache_folder

_KEPT_FOR = 30 * 86400.0  # seconds; both providers have deleted a batch's results by then


class Record(msgspec.Struct):
    """One batch, written down before it is sent.

    Attributes:
        key: our name for it.
        names: the `custom_id`s of its requests; each is a hash of model, request and epoch, so that the answer is known by it.
        at: when it was written down, Unix time.
        mark: what the provider needs besides, to find a batch whose id we never learned.
        left_out: parameters it was sent without, as the model refuses them.
        id: the provider's name for it; empty until the provider has told.
        doubtful: the id was found by what is not its alone; its results will tell.
        not_ours: ids of batches that turned out to be others.
    """

    key: str
    names: list[str]
    at: float
    mark: str = ""
    left_out: list[str] = []
    id: str = ""
    doubtful: bool = False
    not_ours: list[str] = []


class Ledger:
    """The records of one model, a file each in `batches/` of the cache folder.

    Args:
        fingerprint: of the model.
    """

    def __init__(self, fingerprint: str) -> None:
        self.folder = cache_folder() / "batches" / fingerprint

    def records(self) -> list[Record]:
        """All there are, oldest first. What is no record is passed over, what is older than any provider keeps results removed.

        Raises `ModelError` for one that may not be read: its batch would be paid for twice.
        """
        return self._read("*.json", self.folder)

    def ids(self) -> frozenset[str]:
        """The ids of all batches that are written down, of whatever model."""
        return frozenset(record.id for record in self._read("*/*.json", self.folder.parent))

    def _read(self, pattern: str, folder: Path) -> list[Record]:
        found = []
        for file in folder.glob(pattern):
            try:
                record = msgspec.json.decode(file.read_bytes(), type=Record)
            except (FileNotFoundError, msgspec.DecodeError):  # the former where another run has just taken its answers
                continue
            except OSError as error:
                raise ModelError(f"{file}: a batch that was handed in cannot be read: {error.strerror}") from None
            if record.at < time.time() - _KEPT_FOR:
                file.unlink(missing_ok=True)
            else:
                found.append(record)
        return sorted(found, key=lambda record: record.at)

    def write(self, record: Record) -> None:
        """Keep `record`, on the disk itself. Raises `ModelError` where that fails: a batch nobody remembers would be paid for twice."""
        file = self.file(record)
        part = file.with_suffix(f".{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                out.write(msgspec.json.encode(record))
                out.flush()
                os.fsync(out.fileno())
            part.replace(file)
        except OSError as error:
            if record.id:  # what is there already, without the id, is enough to find it
                raise ModelError(
                    f"{file}: what became of batch {record.id} cannot be written down: {error.strerror}; "
                    "it is with the provider, and found again from this folder: make room and run the same command again"
                ) from None
            raise ModelError(
                f"{file}: the batch cannot be written down: {error.strerror}; it was not sent; name another folder in XDG_CACHE_HOME"
            ) from None

    def forget(self, record: Record) -> None:
        """All of its answers are kept elsewhere, or there are none."""
        self.file(record).unlink(missing_ok=True)

    def file(self, record: Record) -> Path:
        """Where `record` is kept."""
        return self.folder / f"{record.key}.json"
