"""What a picture, sound or document is, by its bytes: a name can be wrong, and an API refuses what is not what it is said to be."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from proctor.types import MediaKind

_PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = (
    (b"BM", "a BMP picture", "PNG"),
    (b"II*\0", "a TIFF picture", "PNG"),
    (b"MM\0*", "a TIFF picture", "PNG"),
    (b"<svg", "an SVG drawing", "PNG"),
    (b"PK\x03\x04", "a ZIP archive (or an office document)", "PDF"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM file", "WAV, or its frames to PNG"),
)


def media_type(data: bytes) -> tuple[MediaKind, str]:
    """Kind and media type of `data`, which is looked through for what a cut or damaged file shows.

    Known are PNG, JPEG, GIF and WebP; WAV, MP3, FLAC and Ogg; PDF and UTF-8 text.

    Raises:
        ValueError: none of these, or damaged; the message is the end of a sentence that begins with the object's name.
    """
    if not data:
        raise ValueError("is empty")
    for fits, kind, name, whole in _KNOWN:
        if fits(data):
            problem = whole(data)
            if problem:
                raise ValueError(f"is a damaged {name} file: {problem}")
            return kind, name
    for magic, what, other in _OTHERS:
        if data.startswith(magic) or (magic == b"<svg" and magic in data[:512]):
            raise ValueError(f"is {what}, which models do not take; convert it to {other}")
    if data[4:8] == b"ftyp":
        raise ValueError("is an MP4 or HEIF file, which models do not take; convert it to WAV, or its frames to PNG")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError("is none of the files known: PNG, JPEG, GIF, WebP; WAV, MP3, FLAC, Ogg; PDF, UTF-8 text")
    return "document", "text/plain"


def _png(data: bytes) -> str:
    """Every chunk is there, with the checksum it states."""
    at = len(_PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return f"the checksum of its chunk {name.decode('ascii', 'replace')} is wrong"
        if name == b"IEND":
            return ""
        at = end + 4
    return "it ends too early"


def _riff(data: bytes) -> str:
    stated = int.from_bytes(data[4:8], "little")
    # Streams are written before their length is known, and then state 0 or the largest number.
    return "it ends too early" if stated + 8 > len(data) + 1 and stated < 0xFFFFFF00 else ""


def _jpeg(data: bytes) -> str:
    return "" if b"\xff\xd9" in data[-(1 << 16) :] else "it ends too early"


def _gif(data: bytes) -> str:
    return "" if data.rstrip(b"\0").endswith(b"\x3b") else "it ends too early"


def _pdf(data: bytes) -> str:
    return "" if b"%%EOF" in data[-2048:] else "it ends too early (no %%EOF)"


def _nothing(data: bytes) -> str:
    return ""


def _is_mp3(data: bytes) -> bool:
    return data.startswith(b"ID3") or (len(data) > 2 and data[0] == 0xFF and data[1] & 0xE6 in (0xE2, 0xE4, 0xE6))


_KNOWN: tuple[tuple[Callable[[bytes], bool], MediaKind, str, Callable[[bytes], str]], ...] = (
    (lambda data: data.startswith(_PNG), "image", "image/png", _png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), "image", "image/jpeg", _jpeg),
    (lambda data: data.startswith((b"GIF87a", b"GIF89a")), "image", "image/gif", _gif),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", "image", "image/webp", _riff),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WAVE", "audio", "audio/wav", _riff),
    (lambda data: data.startswith(b"fLaC"), "audio", "audio/flac", _nothing),
    (lambda data: data.startswith(b"OggS"), "audio", "audio/ogg", _nothing),
    (lambda data: data.startswith(b"%PDF-"), "document", "application/pdf", _pdf),
    (_is_mp3, "audio", "audio/mpeg", _nothing),
)
