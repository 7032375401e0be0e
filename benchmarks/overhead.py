"""What Proctor itself costs per attempt: plan, render, hash, journal, score, write Parquet, with a model that costs nothing.

    python benchmarks/overhead.py [ITEMS]

A generated task of ITEMS items (default 20,000), once free answers and once four choices by likelihood, on `baseline:random`. Prints CPU
microseconds per attempt, and the peak memory of the process.
"""

import resource
import sys
import tempfile
import time

import proctor


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rows = [{"id": f"i{k}", "q": f"What is {k} plus {k % 97}?", "target": str(k + k % 97), "letter": k % 4} for k in range(count)]
    choices = ["{{ target }}", "none of these", "all of these", "it cannot be known"]
    tasks = {
        "free answers": {
            "prompt": "{{ q }}",
            "response": {"kind": "generate", "max_tokens": 8},
            "scoring": {"extract": "number", "metrics": "numeric"},
        },
        "four choices": {
            "prompt": "{{ q }}\n{{ options }}",
            "response": "choice",
            "item": {"choices": choices, "target": "letter", "target_as": "index"},
        },
    }
    for name, keys in tasks.items():
        with tempfile.TemporaryDirectory() as store:
            wall, cpu = time.perf_counter(), time.process_time()
            task = proctor.Task(task="sums", data=rows, **keys)
            loaded = time.process_time()
            proctor.run(task, "baseline:random", out=store)
            done = time.process_time()
            print(
                f"{name}: {count:,} attempts in {time.perf_counter() - wall:.1f} s; "
                f"CPU per attempt: {1e6 * (loaded - cpu) / count:.0f} µs to load, {1e6 * (done - loaded) / count:.0f} µs to run"
            )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


main()
