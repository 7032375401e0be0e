"""Pictures, sound and documents behind URLs: fetched once and kept, so that what a URL gives tomorrow changes no question."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

TIMEOUT = 30.0  # seconds without a byte


def fetched(url: str, limit: int) -> Path:
    """The file that holds what `url` gave when it was first read.

    Args:
        url: http or https.
        limit: bytes; more are refused.

    Raises:
        ValueError: it cannot be had; the message is the end of a sentence that begins with the URL.
    """
    path = folder() / hashlib.sha256(url.encode()).hexdigest()
    if path.exists():
        return path
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "proctor"})  # noqa: S310 - the caller saw to the scheme
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            data = answer.read(limit + 1)
    except urllib.error.HTTPError as error:
        raise ValueError(f"cannot be fetched: HTTP {error.code} {error.reason}") from None
    except (urllib.error.URLError, OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"cannot be fetched: {reason or type(error).__name__}") from None
    if len(data) > limit:
        raise ValueError(f"has more than {limit:,} bytes")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
    return path


def folder() -> Path:
    """Where they are kept: `proctor/media` in the user's cache folder (`XDG_CACHE_HOME`)."""
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(base) if base else Path.home() / ".cache") / "proctor" / "media"
