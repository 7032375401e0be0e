"""One-page documents: a price list as PDF, to look a line up in."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

Row = dict[str, Any]

GOODS = ("apples", "bread", "candles", "envelopes", "flour", "grapes", "honey", "ink", "lamp oil", "nails", "paint", "rope", "soap", "tea")
KINDS = ("price", "dearest", "total")


def price_lists(seed: int = 1, size: int = 9) -> Iterator[Row]:
    """Price lists of eight goods, and a question on them; the three kinds in turn.

    Args:
        seed: of the draw.
        size: number of rows.

    Yields:
        id, kind, document (a PDF file's bytes, one page of text), question, answer.
    """
    rng = random.Random(seed)
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        goods = rng.sample(GOODS, 8)
        cents = rng.sample(range(105, 990), 8)
        price = dict(zip(goods, cents, strict=True))
        lines = ["Price list", "", *(f"{good}: {_money(price[good])}" for good in goods)]
        one, other = rng.sample(goods, 2)
        question, answer = {
            "price": (f"What is the price of {one}? Answer with the amount only.", _money(price[one])),
            "dearest": ("What is the most expensive good? Answer with its name only.", max(goods, key=price.__getitem__)),
            "total": (f"What do {one} and {other} cost together? Answer with the amount only.", _money(price[one] + price[other])),
        }[kind]
        yield {"id": f"{kind}-{seed}-{index:03}", "kind": kind, "document": pdf(lines), "question": question, "answer": answer}


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def pdf(lines: Sequence[str]) -> bytes:
    """A page of A5 with `lines` (Latin letters) in Helvetica, as a PDF 1.4 file."""
    shown = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in lines]
    text = "BT /F1 14 Tf 20 TL 50 540 Td " + " ".join(f"({line}) Tj T*" for line in shown) + " ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 420 595] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    file, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(file))
        file += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(file)
    file += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    file += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return file.encode("latin-1")
