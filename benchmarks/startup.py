"""How long Proctor takes to begin: `--help`, `list tasks`, `import proctor`, and a run to its first request, beside a bare interpreter.

    python benchmarks/startup.py [TIMES]

Whole processes, in turn, TIMES each (default 9); the median is printed. Run it on a quiet machine.
"""

import statistics
import subprocess
import sys
import tempfile
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import proctor": ["-c", "import proctor"],
    "proctor --help": ["-m", "proctor", "--help"],
    "proctor list tasks": ["-m", "proctor", "list", "tasks"],
    "proctor run smoke -m baseline:random (20 items, whole)": [
        "-m",
        "proctor",
        "run",
        "smoke",
        "-m",
        "baseline:random",
        "--out",
        "{store}",
    ],
}


def seconds(arguments: list[str]) -> float:
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, *(argument.format(store=store) for argument in arguments)]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - began


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(times):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    for name, values in taken.items():
        print(f"{name:58} median {1000 * statistics.median(values):6.0f} ms   least {1000 * min(values):6.0f} ms")


main()
