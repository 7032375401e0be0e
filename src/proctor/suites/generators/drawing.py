"""Drawing without a library: a canvas of pixels, a few shapes, digits, and PNG."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Canvas = NDArray[np.uint8]

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are outside

COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 92, 214),
    "yellow": (245, 205, 25),
    "purple": (148, 60, 189),
    "black": (0, 0, 0),
}
_INDEX = {name: index for index, name in enumerate(COLOURS)}
SHAPES = ("circle", "square", "triangle")
# Rows of a 5 × 7 raster, a bit a pixel.
_DIGITS = (
    (14, 17, 19, 21, 25, 17, 14),
    (4, 12, 4, 4, 4, 4, 14),
    (14, 17, 1, 2, 4, 8, 31),
    (31, 2, 4, 2, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2),
    (31, 16, 30, 1, 1, 17, 14),
    (6, 8, 16, 30, 17, 17, 14),
    (31, 1, 2, 4, 8, 8, 8),
    (14, 17, 17, 14, 17, 17, 14),
    (14, 17, 17, 15, 1, 2, 12),
)


def blank(width: int, height: int) -> Canvas:
    """A white canvas: for each pixel its colour's place in `COLOURS`, shape (height, width); the width is even."""
    import numpy as np

    return np.zeros((height, width), dtype=np.uint8)


def draw_shape(canvas: Canvas, shape: str, box: Box, colour: str) -> None:
    """Fill one of `SHAPES`, which touches all sides of `box`."""
    import numpy as np

    left, top, right, bottom = box
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5
    across, down = (columns - left) / (right - left), (rows - top) / (bottom - top)
    if shape == "circle":
        inside = (across - 0.5) ** 2 + (down - 0.5) ** 2 <= 0.25
    elif shape == "triangle":
        inside = np.abs(across - 0.5) <= down / 2
    else:
        inside = np.ones_like(across, dtype=bool)
    canvas[top:bottom, left:right][inside] = _INDEX[colour]


def draw_number(canvas: Canvas, text: str, left: int, top: int, scale: int) -> None:
    """Write digits in black, each 5 × 7 squares of `scale` pixels, one square apart."""
    for place, digit in enumerate(text):
        for row, bits in enumerate(_DIGITS[int(digit)]):
            for column in range(5):
                if bits >> (4 - column) & 1:
                    y, x = top + row * scale, left + (place * 6 + column) * scale
                    canvas[y : y + scale, x : x + scale] = _INDEX["black"]


def png(canvas: Canvas) -> bytes:
    """The canvas as a PNG file: a palette, four bits a pixel, not compressed, as what a compressor gives depends on its version."""
    height, width = canvas.shape
    rows = b"".join(b"\0" + row.tobytes() for row in canvas[:, ::2] << 4 | canvas[:, 1::2])
    header = struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0)
    palette = b"".join(map(bytes, COLOURS.values()))
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", _stored(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def _stored(data: bytes) -> bytes:
    """A zlib stream of `data` in blocks as they are (RFC 1950 and 1951)."""
    stream = b"\x78\x01"
    for start in range(0, len(data), 0xFFFF):
        block = data[start : start + 0xFFFF]
        stream += struct.pack("<BHH", start + 0xFFFF >= len(data), len(block), len(block) ^ 0xFFFF) + block
    return stream + struct.pack(">I", zlib.adler32(data))
