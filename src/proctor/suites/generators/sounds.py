"""Tones to count and to compare."""

from __future__ import annotations

import io
import random
import wave
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

RATE = 8000  # samples a second
TONE, PAUSE = 0.3, 0.2  # seconds
PITCHES = (262, 330, 392, 494, 587, 698, 880)  # Hz
KINDS = ("count", "highest", "direction")
PLACES = ("first", "second", "third", "fourth")


def tones(seed: int = 1, size: int = 12) -> Iterator[Row]:
    """One to six pure tones with pauses between, and a question on their number or pitch; the three kinds in turn.

    Args:
        seed: of the draw.
        size: number of rows.

    Yields:
        id, kind, sound (a WAV file's bytes, 8 kHz, 16 bits, one channel), question, answer.
    """
    rng = random.Random(seed)
    for index in range(size):
        kind = KINDS[index % len(KINDS)]
        pitches, question, answer = _ask(rng, kind)
        yield {"id": f"{kind}-{seed}-{index:03}", "kind": kind, "sound": sound(pitches), "question": question, "answer": answer}


def _ask(rng: random.Random, kind: str) -> tuple[list[int], str, str]:
    if kind == "count":
        number = rng.randint(1, 6)
        return [rng.choice(PITCHES)] * number, "How many tones do you hear? Answer with a number.", str(number)
    if kind == "highest":
        pitches = rng.sample(PITCHES, 4)
        answer = PLACES[pitches.index(max(pitches))]
        return pitches, "Four tones sound. Which is the highest: first, second, third or fourth? Answer with one word.", answer
    low, high = sorted(rng.sample(PITCHES, 2))
    rising = rng.random() < 0.5
    return (
        [low, high] if rising else [high, low],
        "Two tones sound. Does the pitch go up or down? Answer up or down.",
        "up" if rising else "down",
    )


def sound(pitches: list[int]) -> bytes:
    """Tones of the given frequencies in Hz one after another, as a WAV file."""
    import numpy as np

    fade = np.minimum(1.0, np.minimum(np.arange(int(TONE * RATE)), np.arange(int(TONE * RATE))[::-1]) / (0.02 * RATE))
    silence = np.zeros(int(PAUSE * RATE))
    parts = [silence]
    for pitch in pitches:
        parts += [np.sin(2 * np.pi * pitch * np.arange(len(fade)) / RATE) * fade * 0.5, silence]
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((np.concatenate(parts) * 32767).astype("<i2").tobytes())
    return file.getvalue()
