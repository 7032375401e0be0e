"""Inspect's side of `api_peers.py`; runs in an environment that has `inspect-ai` and `openai`.

python inspect_side.py ITEMS URL CONNECTIONS LOGS
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("LOCAL_API_KEY", "none")

import inspect_ai
from inspect_ai.dataset import Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

if __name__ == "__main__":
    items, url, connections, logs = sys.argv[1:]
    rows = [json.loads(line) for line in Path(items).read_text().splitlines()]
    samples = [Sample(id=row["id"], input=row["q"], target=row["target"]) for row in rows]
    task = inspect_ai.Task(dataset=samples, solver=generate(), scorer=exact())
    (log,) = inspect_ai.eval(
        task,
        model="openai-api/local/m",
        model_base_url=url,
        max_connections=int(connections),
        max_samples=int(connections),
        max_tokens=16,
        temperature=0.0,
        display="none",
        log_dir=logs,
    )
    assert log.status == "success", log.error
    assert log.results.completed_samples == len(rows)
    assert log.results.scores[0].metrics["mean"].value == 1.0
