"""How many of lm-evaluation-harness's tasks load into a Task, and how long the list takes.

    python benchmarks/lm_eval_coverage.py [FOLDER] [--code]

FOLDER is that of the task files (…/lm_eval/tasks); without it those of an installed lm_eval. With --code the Python files that tasks name
are imported as well, which runs them; what is missing is then mostly packages.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from proctor.errors import ProctorError
from proctor.tasks.lm_eval.config import read_config
from proctor.tasks.lm_eval.index import read_index
from proctor.tasks.lm_eval.settings import LmEvalSettings
from proctor.tasks.lm_eval.task import LmEvalTask
from proctor.tasks.lm_eval.yaml_files import load


def main() -> None:
    arguments = [one for one in sys.argv[1:] if not one.startswith("--")]
    paths = tuple(arguments[:1])
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for name in ("first, all files read", "again, from the index"):
            began = time.perf_counter()
            index = read_index(paths)
            print(f"{time.perf_counter() - began:6.2f} s  index, {name}")
        folder = [f"--lm-eval-path={paths[0]}"] if paths else []
        began = time.perf_counter()
        command = [sys.executable, "-m", "proctor", "list", "tasks", "lm-eval", *folder]
        subprocess.run(command, check=True, capture_output=True)
        print(f"{time.perf_counter() - began:6.2f} s  proctor list tasks lm-eval")
    leaves = [entry for entry in index.tasks.values() if entry.kind == "task"]
    classes = len(index.tasks) - len(leaves)
    print(print(f"{len(leaves)} tasks, {classes} classes, {len(index.groups)} groups, {len(index.tags)} tags"))
    reasons: Counter[str] = Counter()
    loaded = 0
    cache_of_files: dict = {}
    for entry in leaves:
        try:
            config = read_config(load(Path(entry.path), cache_of_files).config, entry.path)
            if "--code" in sys.argv:
                LmEvalTask(config, LmEvalSettings(trust=True))
            loaded += 1
        except ProctorError as error:
            reasons[" ".join(str(error).removeprefix(f"{entry.path}: ").split())[:110]] += 1
    print(f"{loaded} of {len(leaves)} load: {loaded / len(leaves):.2%}")
    for reason, count in reasons.most_common():
        print(f"{count:6}  {reason}")


if __name__ == "__main__":
    main()
