"""A whole program on its own, as `python program.py` runs it.

This module runs inside the sandbox and imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys

from proctor.scoring.sandbox.confine import SCRATCH, confine


def main() -> None:
    confine()
    job = json.loads(sys.stdin.buffer.read())
    folder = os.environ.get("PROCTOR_SCRATCH", SCRATCH)
    os.chdir(folder)
    for name, text in job["files"].items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    with open("program.py", "w", encoding="utf-8") as file:
        file.write(job["program"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.pop("PYTHONSAFEPATH", None)  # a program may import the files beside it
    os.execv(sys.executable, [sys.executable, "-s", "-B", "-X", "utf8", "program.py"])
