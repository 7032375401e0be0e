"""How fast SmolLM2 writes the short answers of `core`, many at once, against one at a time, in one process.

    python benchmarks/generation_engine.py [ITEMS]

ITEMS answers (default 138: all of five tasks) through the engine, then as many as fit the same time with the own generate of
transformers, one after the other; prints tokens per second of both and their ratio. Trust the ratio more than the seconds.
"""

import sys
import time

import torch

import proctor
from proctor.models.base import Ask

TASKS = ["instructions", "word_problems", "units", "code_output", "arithmetic"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 138
    model = proctor.open_model("smollm2")
    asks = []
    for name in TASKS:
        task = proctor.load_task(name)
        asks += [Ask(len(asks) + i, task.name, item, 0, task.request(item), task.pool) for i, item in enumerate(task.items)]
    asks = asks[:: max(1, len(asks) // count)][:count]
    next(iter(model.answer(asks[:1])))  # weights are read

    began = time.perf_counter()
    tokens = sum(response.output_tokens or 0 for _, response in model.answer(asks))
    seconds = time.perf_counter() - began
    print(f"together: {len(asks)} answers, {tokens} tokens in {seconds:.1f} s: {tokens / seconds:.0f} tokens/s")

    began, alone, answers = time.perf_counter(), 0, 0
    for ask in asks:
        ids = torch.tensor([model._prompt_tokens(ask.request.prompt)])
        with torch.inference_mode():
            out = model.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=ask.request.max_tokens, do_sample=False)
        alone, answers = alone + out.shape[1] - ids.shape[1], answers + 1
        if time.perf_counter() - began > seconds:
            break
    other = alone / (time.perf_counter() - began)
    print(f"one by one (stop texts not looked for): {answers} answers, {alone} tokens: {other:.0f} tokens/s")
    print(f"ratio {tokens / seconds / other:.1f}")


main()
