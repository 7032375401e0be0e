"""A server that speaks the OpenAI and Anthropic APIs and really looks at what it is shown.

It decodes pictures with Pillow, sound with `wave`, documents with a few lines of PDF, and answers the questions of the built-in tasks
`shapes`, `tones` and `price_lists` from the pixels, the samples and the text alone. What is asked of a picture it was not sent, or that was
damaged on its way, it cannot answer.
"""

import base64
import io
import json
import re
import wave

import numpy as np
from faulty_server import FaultyServer
from PIL import Image
from scipy import ndimage

COLOURS = {"red": (214, 39, 40), "green": (44, 160, 44), "blue": (31, 92, 214), "yellow": (245, 205, 25), "purple": (148, 60, 189)}


class LookingServer(FaultyServer):
    """`blind` leaves out what is shown, as a model of text alone would."""

    def __init__(self, blind=False, **keys):
        super().__init__(**keys)
        self.blind = blind

    def _chat(self, body):
        texts, shown = [], []
        for part in parts(body["messages"][-1]["content"]):
            if part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                head, _, data = part["image_url"]["url"].partition(",")
                assert head.startswith("data:image/"), head
                shown.append(("image", base64.b64decode(data)))
            elif part["type"] == "input_audio":
                shown.append(("audio", base64.b64decode(part["input_audio"]["data"])))
            else:
                head, _, data = part["file"]["file_data"].partition(",")
                assert head == "data:application/pdf;base64", head
                shown.append(("document", base64.b64decode(data)))
        text = self._say(" ".join(texts), shown)
        usage = {"prompt_tokens": 1000 * len(shown) + len(texts), "completion_tokens": len(text.split())}
        return self._ok({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage, "model": body["model"]})

    def _message(self, body):
        texts, shown = [], []
        for part in parts(body["messages"][-1]["content"]):
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                assert part["source"]["type"] == "base64"
                shown.append((part["type"], base64.b64decode(part["source"]["data"])))
        text = self._say(" ".join(texts), shown)
        return self._ok({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "model": body["model"]})

    def _ok(self, value):
        from aiohttp import web

        return web.json_response(value)

    def _say(self, question, shown):
        if self.blind or not shown:
            return "I see nothing."
        [(kind, data)] = shown
        return {"image": look, "audio": hear, "document": read}[kind](data, question)


def parts(content):
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def look(data, question):
    """The answer to a question of `shapes`, from the pixels."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    if "number is written" in question:
        return digits(pixels.sum(axis=2) < 100)
    found = sorted(shapes(pixels), key=lambda one: one["box"][0])
    names = [one["shape"] for one in found]
    if "How many" in question:
        return str(names.count(re.search(r"How many (\w+)s", question)[1]))
    if "left to right" in question or "Which of the colours" in question:
        return ", ".join(dict.fromkeys(one["colour"] for one in found))
    wanted = re.search(r"(?:is|Where is) the (\w+)\?", question)
    one = next(one for one in found if (one["shape"] == wanted[1] if wanted else names.count(one["shape"]) == 1))
    if "What colour" in question:
        return one["colour"].title()
    height, width, _ = pixels.shape
    if "bounding box" in question:
        sides = zip(one["box"], (width, height) * 2, strict=True)
        return f"Answer: [{', '.join(f'{edge / side:.3f}' for edge, side in sides)}]"
    row = ("top", "middle", "bottom")[int((one["box"][1] + one["box"][3]) / 2 / height * 3)]
    return "```json\n" + json.dumps({"shape": one["shape"], "colour": one["colour"], "row": row}) + "\n```"


def shapes(pixels):
    """Shape, colour and box of every patch of one colour; a shape by the share of its box that it fills."""
    for colour, value in COLOURS.items():
        labels, _ = ndimage.label((pixels == value).all(axis=2))
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
            share = (labels[rows, columns] == number).mean()
            shape = "square" if share > 0.95 else "circle" if share > 0.65 else "triangle"
            yield {"shape": shape, "colour": colour, "box": (columns.start, rows.start, columns.stop, rows.stop)}


# Of each digit: pixels set in its rows from the top, five to a row.
DIGITS = {
    "01110100011001110101110011000101110": "0",
    "00100011000010000100001000010001110": "1",
    "01110100010000100010001000100011111": "2",
    "11111000100010000010000011000101110": "3",
    "00010001100101010010111110001000010": "4",
    "11111100001111000001000011000101110": "5",
    "00110010001000011110100011000101110": "6",
    "11111000010001000100010000100001000": "7",
    "01110100011000101110100011000101110": "8",
    "01110100011000101111000010001001100": "9",
}


def digits(ink):
    rows = np.flatnonzero(ink.any(axis=1))
    scale = (rows[-1] - rows[0] + 1) // 7
    raster = ink[rows[0] : rows[-1] + 1 : scale, ::scale]
    # The first column of the raster may fall between two squares.
    start = np.flatnonzero(ink.any(axis=0))[0]
    text, place = "", start
    while place < ink.shape[1]:
        cells = {shift: ink[rows[0] : rows[-1] + 1 : scale, place - shift * scale :: scale][:, :5] for shift in (0, 1, 2)}
        known = [DIGITS.get("".join("1" if bit else "0" for bit in cell.ravel())) for cell in cells.values() if cell.shape == (7, 5)]
        digit = next((one for one in known if one), None)
        if digit is None:
            break
        shift = known.index(digit)
        text, place = text + digit, place + (6 - shift) * scale
        following = np.flatnonzero(ink[:, place - scale :].any(axis=0))
        if not len(following):
            break
        place = place - scale + following[0]
    assert raster.size
    return text


def hear(data, question):
    """The answer to a question of `tones`, from the samples."""
    with wave.open(io.BytesIO(data)) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
    loud = ndimage.uniform_filter1d(np.abs(samples), rate // 50) > 500
    labels, count = ndimage.label(loud)
    if "How many" in question:
        return f"{count}."
    pitches = []
    for (span,) in ndimage.find_objects(labels):
        spectrum = np.abs(np.fft.rfft(samples[span]))
        pitches.append(spectrum.argmax() * rate / (span.stop - span.start))
    if "highest" in question:
        return ("first", "second", "third", "fourth")[int(np.argmax(pitches))].title()
    return "up" if pitches[1] > pitches[0] else "down"


def read(data, question):
    """The answer to a question of `price_lists`, from the page's text."""
    prices = dict(re.findall(r"\(([\w ]+): ([\d.]+)\) Tj", data.decode("latin-1")))
    cents = {good: round(100 * float(price)) for good, price in prices.items()}
    if "most expensive" in question:
        return max(cents, key=cents.get)
    named = re.search(r"(?:price of|What do) ([\w ]+?)(?: and ([\w ]+?) cost together)?\?", question)
    total = sum(cents[good] for good in named.groups() if good)
    return f"{total // 100}.{total % 100:02}"
