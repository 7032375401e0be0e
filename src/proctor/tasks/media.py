"""Pictures, sound and documents of a task: from the value in a row to the object that a prompt shows.

A template writes an object's place with a filter, `{{ photo | image }}`. While templates are filled in, the place is a mark that names the
object by its hash, so that two questions differ where their pictures do; in the finished message it is U+FFFC, the object replacement
character, and the objects stand beside the text in the order of their places. A U+FFFC that the data itself holds there becomes U+FFFD.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from proctor.errors import DataError
from proctor.tasks.media_places import Found, Place
from proctor.tasks.media_type import media_type
from proctor.types import PLACE, Item, Media, MediaKind, Message

MAX_BYTES = 50 << 20  # of one object; more than any API takes
_WHAT = {"image": "a picture", "audio": "a sound", "document": "a document"}
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_LONGEST_PATH = 4096


class MediaProblemError(Exception):
    """A value that is no picture, sound or document. `value` is as the template gave it."""

    def __init__(self, value: Any, message: str) -> None:
        super().__init__(message)
        self.value = value


class MediaStore:
    """The objects that one task shows, each looked at once.

    A value is the path of a file, a URL, a `data:` URL, base64 text, or what the hub's image and audio columns hold: a mapping with `bytes`
    (base64 text) or `path`. Null is no object; a list is its objects one after another.

    Args:
        places: where the files lie that values name.

    Attributes:
        shown: what was marked since this was last emptied, by the text it was found by.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places
        self._mark = f"{PLACE}{secrets.token_hex(8)}:"
        self._marks = re.compile(rf"{self._mark}([0-9a-f]{{64}}){PLACE}")
        self._by_hash: dict[str, Media] = {}
        self._by_value: dict[str, Media] = {}
        self.shown: dict[str, Media] = {}

    def mark(self, value: Any, kind: MediaKind) -> str:
        """What stands for `value` while a template is filled in. Raises `MediaProblemError`."""
        if value is None:
            return ""
        if isinstance(value, list | tuple):
            return "".join(self.mark(one, kind) for one in value)
        media = self._find(value, kind)
        self.shown[_key(value) or ""] = media
        return f"{self._mark}{media.sha256}{PLACE}"

    def message(self, message: Message) -> Message:
        """A message whose text still holds marks, as it is asked."""
        text, media, done = "", [], 0
        for found in self._marks.finditer(message.content):
            text += message.content[done : found.start()].replace(PLACE, "\ufffd") + PLACE
            media.append(self._by_hash[found[1]])
            done = found.end()
        text += message.content[done:].replace(PLACE, "\ufffd")
        return Message(message.role, text, tuple(media))

    def content(self, item: Item, question: str) -> list[Any]:
        """What an item asks, as JSON values for its hash: where an object comes from is not part of it, what it is is.

        `question` is its text with marks, filled in just now.
        """

        def known(value: Any) -> Any:
            if isinstance(value, str | dict):
                media = self.shown.get(_key(value) or "")
                if media is not None:
                    return {"media": media.sha256}
            if isinstance(value, dict):
                return {key: known(one) for key, one in value.items()}
            return [known(one) for one in value] if isinstance(value, list) else value

        return [known(item.fields), item.choices, item.target, item.group, self._marks.findall(question)]

    def _find(self, value: Any, kind: MediaKind) -> Media:
        key = _key(value)
        media = self._by_value.get(key) if key else None
        if media is None:
            media = self._read(value)
            if key:
                self._by_value[key] = media
            media = self._by_hash.setdefault(media.sha256, media)
        if media.kind != kind:
            found = f"{_shown(value)} is {_WHAT[media.kind]} ({media.type})"
            raise MediaProblemError(value, f"{found}, not {_WHAT[kind]}; write | {media.kind}")
        return media

    def _read(self, value: Any) -> Media:
        text = _key(value)
        if not text:
            expected = "expected a path, a URL, base64 text, or a mapping with 'bytes' or 'path'"
            raise MediaProblemError(value, f"{expected}, got {_shown(value)}")
        try:
            read = self._source(text, encoded=isinstance(value, Mapping) and bool(value.get("bytes")))
            data = read()
            _check_size(len(data))
            kind, named = media_type(data)
        except OSError as error:
            raise MediaProblemError(value, f"{_shown(text)} cannot be read: {error.strerror or error}") from None
        except ValueError as error:
            raise MediaProblemError(value, f"{_shown(text)} {error}") from None
        return Media(kind, named, hashlib.sha256(data).hexdigest(), len(data)).found_by(read)

    def _source(self, text: str, *, encoded: bool) -> Callable[[], bytes]:
        """What reads the bytes that `text` names or holds, now and when they are sent; none are kept in between."""
        if text.startswith("data:"):
            return lambda: _data_url(text)
        if text.startswith(("http://", "https://")):
            from proctor.tasks.media_url import fetched

            return fetched(text, MAX_BYTES).read_bytes
        found = None if encoded else self._file(text)
        if found is None:
            return lambda: _decoded(text)
        _check_size(found.size)
        return found.read

    def _file(self, name: str) -> Found | None:
        """The file of that name; None where the text is base64 rather than a name. Raises `ValueError`, as the end of a sentence."""
        where = " or ".join(map(str, self.places))
        if len(name) < _LONGEST_PATH and "\n" not in name and "\0" not in name:
            outside = False
            for place in self.places:
                try:
                    found = place.find(name)
                except ValueError:
                    outside = True
                    continue
                if found is not None:
                    return found
            if outside and not _looks_encoded(name):
                raise ValueError(f"lies outside of {where}: only files there are shown; put it, or a link to its folder, there")
        if _looks_encoded(name):
            return None
        raise ValueError(f"is not there: no such file in {where}")


def located(error: MediaProblemError, item: Item, where: str) -> DataError:
    """The problem with the item and the column it is in."""
    for column, value in item.fields.items():
        if value is error.value or (isinstance(value, list) and any(one is error.value for one in value)) or value == error.value:
            return DataError(f"{where}: item '{item.id}', column '{column}': {error}")
    return DataError(f"{where}: item '{item.id}': {error}")


def _key(value: Any) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path") or value.get("url") or value.get("src")
    return value if isinstance(value, str) else None


def _looks_encoded(text: str) -> bool:
    return len(text) >= 32 and _BASE64.fullmatch(text) is not None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64") from None


def _data_url(text: str) -> bytes:
    head, comma, body = text.partition(",")
    if not comma or not head.endswith(";base64"):
        raise ValueError("is not a data: URL in base64 (data:image/png;base64,…)")
    return _decoded(body)


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"has {size:,} bytes; expected at most {MAX_BYTES:,}")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}'" if len(value) <= 120 else f"a text of {len(value):,} characters ('{value[:24]}…')"
    return f"{value!r:.80}"
