"""A deterministic stand-in for a model, slow enough to be killed, that writes down every question it is asked."""

import hashlib
import os
import time
from pathlib import Path


def answer(prompt: str) -> str:
    log = Path(os.environ["EXAM_LOG"])
    with log.open("a") as file:
        file.write(prompt + "\n")
    time.sleep(float(os.environ.get("EXAM_SECONDS", "0.004")))
    return f"{prompt} is {int(hashlib.sha256(prompt.encode()).hexdigest(), 16) % 7}"
