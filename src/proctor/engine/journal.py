"""The journal: every finished attempt appended at once, so that killing the process loses only what was in flight.

One JSON object a line: `{"task", "item", "epoch", "hash", "reused", "response"}`, and `"step"` where it is not an attempt's first
request. A line is written with one system call; a line cut short by a crash or a full disk is dropped when the journal is opened again.
One process at a time.

What a system call has written is the kernel's, and outlives `kill -9`. It takes 1 µs, so nothing is won by holding lines back to write
several together, and what is held back would be lost. What can take long is bringing them to the disk itself, which only a power cut
makes necessary. That is done for a group of lines, whatever was written in the last two seconds, and in a thread of its own: no answer
waits for it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from proctor.errors import StoreError
from proctor.types import Response

Key = tuple[str, str, int]
SYNC_SECONDS = 2.0  # a power cut may lose what the last seconds brought; a killed process loses nothing
_LINE = 1 << 12  # bytes that hold most lines


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line: which attempt, the hash of what was asked, whether the answer was kept from another run, and the answer.

    `step` names a further request of the attempt (see `proctor.types.Step`); the first has no name.
    """

    task: str
    item: str
    epoch: int
    hash: str
    response: Response
    reused: bool = False
    step: str = ""


class Journal:
    """The journal of one run, opened for reading and appending.

    Args:
        path: the file; created where it does not exist.

    Raises:
        StoreError: another process has it open, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Entry)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise StoreError(f"{path.parent}: another process is running this run; wait for it, or stop it") from None
        # Offsets of lines by item, for each task, epoch and step: a tuple for every attempt of a million would take 80 MB more.
        self._offsets: dict[tuple[str, int, str], dict[str, int]] = {}
        self._count = 0
        self._failed: set[tuple[Key, str]] = set()
        self._end = 0
        self._synced = time.monotonic()
        self._syncing: threading.Thread | None = None
        self._sync_problem: OSError | None = None
        try:
            self._scan()
        except BaseException:
            self.close()
            raise

    def _scan(self) -> None:
        """Index the whole lines; drop a last line cut short."""
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = self._decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise StoreError(
                        f"{self.path}: the line at byte {self._end} is damaged ({error}); "
                        "remove that line and run again: the other answers are kept"
                    ) from None
                self._note(entry, self._end)
                self._end += len(line)
        os.ftruncate(self._file, self._end)

    def _note(self, entry: Entry, offset: int) -> None:
        offsets = self._offsets.get((entry.task, entry.epoch, entry.step))
        if offsets is None:
            offsets = self._offsets[entry.task, entry.epoch, entry.step] = {}
        if entry.item not in offsets and not entry.step:
            self._count += 1
        offsets[entry.item] = offset
        if entry.response.finish == "error":
            self._failed.add(((entry.task, entry.item, entry.epoch), entry.step))
        elif self._failed:
            self._failed.discard(((entry.task, entry.item, entry.epoch), entry.step))

    def append(self, entry: Entry) -> None:
        """Keep one attempt. Raises `StoreError` where the disk refuses; what was kept before stays whole."""
        line = self._encoder.encode(entry) + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            if time.monotonic() - self._synced > SYNC_SECONDS:
                self._sync_aside()
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise StoreError(
                f"{self.path}: cannot be written: {error.strerror}; everything answered before is kept: "
                "make room and run the same command again"
            ) from None
        self._note(entry, self._end)
        self._end += len(line)

    def sync(self) -> None:
        """Bring what was written to the disk itself, and wait for it."""
        self._settle()
        os.fsync(self._file)
        self._synced = time.monotonic()

    def _sync_aside(self) -> None:
        """The same without waiting. Raises `OSError` where the disk refused the last time."""
        if self._syncing is not None and self._syncing.is_alive():
            return
        self._settle()
        self._synced = time.monotonic()
        self._syncing = threading.Thread(target=self._fsync, name="proctor-journal", daemon=True)
        self._syncing.start()

    def _fsync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            self._sync_problem = error

    def _settle(self) -> None:
        """Wait for a synchronisation under way. Raises `OSError` where it failed."""
        if self._syncing is not None:
            self._syncing.join()
            self._syncing = None
        problem, self._sync_problem = self._sync_problem, None
        if problem is not None:
            raise problem

    def answered(self, key: Key, step: str = "") -> bool:
        """Whether a request of an attempt has an answer; a failed one has not, and is asked again."""
        return self._offset(key, step) is not None and (key, step) not in self._failed

    def _offset(self, key: Key, step: str) -> int | None:
        task, item, epoch = key
        offsets = self._offsets.get((task, epoch, step))
        return None if offsets is None else offsets.get(item)

    def get(self, key: Key, step: str = "") -> Entry | None:
        """The last entry of a request of an attempt, failed or not; None where there is none."""
        offset = self._offset(key, step)
        if offset is None:
            return None
        return self._decoder.decode(self._line(offset))

    def _line(self, offset: int) -> bytes:
        size = _LINE
        while True:
            block = os.pread(self._file, size, offset)
            end = block.find(b"\n")
            if end >= 0:
                return block[:end]
            size *= 4

    def __len__(self) -> int:
        return self._count

    @property
    def failed(self) -> int:
        """How many attempts' first requests have failed and not been answered since."""
        return sum(not step for _, step in self._failed)

    def close(self) -> None:
        """Let go of the file and its lock."""
        if self._file >= 0:
            if self._syncing is not None:
                self._syncing.join()
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
