"""Masks and label maps: COCO's run-length masks, and maps of a label for each pixel as JSON, .png or .npy."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proctor.errors import DataError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAPS = (".png", ".npy")


def decode_mask(mask: Any) -> NDArray[np.bool_]:
    """A mask of COCO, `{size: [height, width], counts}`, as booleans of that shape; `counts` is a list of runs or COCO's compressed text.

    Raises:
        ValueError: it is none, or its runs do not fill it.
    """
    import numpy as np

    if not isinstance(mask, dict) or not isinstance(mask.get("size"), list) or len(mask["size"]) != 2:
        raise ValueError("a mask is {size: [height, width], counts: runs}")
    height, width = (int(one) for one in mask["size"])
    counts = mask.get("counts")
    runs = _uncompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not all(isinstance(run, int) and run >= 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"the runs of the mask do not fill {height} × {width}")
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T  # column by column


def _uncompressed(text: str) -> list[int]:
    """The runs in COCO's text: five bits a character, least first, the third and later as differences from two before."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs


def read_map(value: Any) -> NDArray[np.int64]:
    """A label map: rows of whole numbers, or `{size: [height, width], runs: [[label, count], …]}` row by row; a text holds one as JSON.

    Raises:
        ValueError: it is none.
    """
    import numpy as np

    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, dict):
        size, runs = value.get("size"), np.asarray(value.get("runs"))
        if not isinstance(size, list) or len(size) != 2 or runs.ndim != 2 or runs.shape[1] != 2 or runs[:, 1].sum() != size[0] * size[1]:
            raise ValueError("a label map is {size: [height, width], runs: [[label, count], …]} with runs that fill it")
        return np.repeat(runs[:, 0], runs[:, 1]).reshape(size).astype(np.int64)
    array = np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "iub" or not array.size:
        raise ValueError("a label map is a list of rows of whole numbers")
    return array.astype(np.int64)


def map_text(labels: NDArray[Any]) -> str:
    """A label map as JSON, in runs."""
    import numpy as np

    flat = labels.ravel()
    ends = np.append(np.flatnonzero(np.diff(flat)) + 1, len(flat))
    runs = np.stack([flat[ends - 1], np.diff(ends, prepend=0)], axis=1)
    return json.dumps({"size": list(labels.shape), "runs": runs.tolist()}, separators=(",", ":"))


def file_text(path: Path) -> str:
    """What a file holds as an answer or target: of a .png (grey or palette) or .npy the label map, of any other file its text.

    Raises:
        DataError: it cannot be read.
        MissingExtra: Pillow is not installed, for a .png.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    if path.suffix.lower() not in MAPS:
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 (byte {error.start}); label maps are .png or .npy") from None
    import numpy as np

    try:
        if path.suffix.lower() == ".npy":
            labels = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            labels = _png(data)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if labels.ndim != 2 or labels.dtype.kind not in "iub":
        raise DataError(f"{path}: expected a label for each pixel (grey or palette), found {labels.dtype} of shape {labels.shape}")
    return map_text(labels.astype(np.int64))


def _png(data: bytes) -> NDArray[Any]:
    import numpy as np

    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("a label map in a .png", "images") from None
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
