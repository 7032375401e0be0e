"""Canonical JSON and content hashes: the same value gives the same bytes everywhere.

Keys are sorted, there is no white space, text is UTF-8 as it stands. Hashes are BLAKE2b.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: Any) -> bytes:
    """`value` (JSON types, or structs) as canonical JSON. Raises `TypeError` for what JSON cannot hold."""
    return _encoder.encode(value)


def content_hash(value: Any, length: int = 16) -> str:
    """Hexadecimal BLAKE2b of the canonical JSON of `value`; `length` hexadecimal digits (4 bits each)."""
    return hash_of_json(canonical_json(value), length)


def hash_of_json(canonical: bytes, length: int = 16) -> str:
    """`content_hash` of what is canonical JSON already."""
    return hashlib.blake2b(canonical, digest_size=32).hexdigest()[:length]


def seeded(*parts: str | int) -> int:
    """A 64-bit seed that depends on nothing but `parts`: equal on every machine, order and process."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
