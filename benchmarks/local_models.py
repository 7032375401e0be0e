"""SmolLM2 on real items: Proctor beside lm-evaluation-harness's `hf` model, in one run, with the log-likelihoods of both compared.

    python benchmarks/local_models.py PEER_PYTHON [--work mmlu,arc,piqa,gsm8k] [--items 20] [--peer-items 40] [--rounds 2]

PEER_PYTHON is the Python of an environment of its own:

    python -m venv peer && peer/bin/pip install torch==2.13.0 && peer/bin/pip install 'lm-eval[hf]==0.4.13'

Each side runs in a process of its own, one at a time, and takes turns; of several rounds the shortest counts. Proctor answers all items
(of MMLU --items of each of the 57 subjects; of the others ten times as many), the peer a sample of --peer-items, since it needs minutes
for what takes seconds; both figures are per item. The peer's batch size is the fastest of --batches on a smaller sample. The share of
the limit is the number of unique tokens over the time, against the tokens a second of one plain forward pass over 512 tokens without
its head, measured in the same process. Requests go through all of `answer`: rendering and tokenising included, on both sides.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import real_items


def ours() -> None:
    """Proctor's side, in a process of its own; see peers/lm_eval_local.py for the lines it reads and writes."""
    import torch

    import proctor
    from proctor.models.base import Ask
    from proctor.models.prefix_tree import unique_tokens
    from proctor.types import Generate, Item, Likelihood, Message, Prompt

    model = proctor.open_model("smollm2")
    files = model.files
    list(model.answer([Ask(0, "", Item("", {}), 0, Likelihood((Prompt((Message("user", "a"),)),), ("b",)))]))
    print(json.dumps({"ready": True, "weights": str(kept_folder(files.file))}), flush=True)
    ids = torch.arange(1000, 1512)[None]
    for line in sys.stdin:
        wanted = json.loads(line)
        with torch.inference_mode():
            rates = []
            for _ in range(4):
                began = time.perf_counter()
                model.model.model(input_ids=ids, use_cache=False)
                rates.append(512 / (time.perf_counter() - began))
        asks = []
        for i, (context, texts) in enumerate(wanted["requests"]):
            prompt = Prompt((Message("user", context),), style="plain")
            if wanted["kind"] == "likelihood":
                request = Likelihood((prompt,), tuple(text.removeprefix(" ") for text in texts))
            else:
                request = Generate(prompt, wanted["tokens"], tuple(texts))
            asks.append(Ask(i, "", Item(str(i), {}), 0, request))
        began = time.perf_counter()
        found = {ask.index: response for ask, response in model.answer(asks)}
        seconds = time.perf_counter() - began
        values, unique = [], 0
        for i in range(len(asks)):
            if wanted["kind"] == "likelihood":
                values += zip(found[i].loglikelihoods[0], found[i].greedy[0], strict=True)
            else:
                values.append(found[i].text)
        if wanted["kind"] == "likelihood":
            unique = unique_tokens([s.inputs for ask in asks for parts in model.to_score(ask.request) for s in parts])
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        written = sum(response.output_tokens or 0 for response in found.values())
        print(
            json.dumps({"seconds": seconds, "mib": mib, "values": values, "unique": unique, "rate": max(rates), "written": written}),
            flush=True,
        )


def kept_folder(file):
    from proctor.models import weights

    return weights._kept(file)


class Side:
    """A process that answers one line with one line."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())

    def ask(self, **wanted):
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(name: str, requests, sample: list[int], arguments) -> None:
    kind = "generate" if name == "gsm8k" else "likelihood"
    fast = Side([sys.executable, __file__, "--ours"])
    kept = fast.ready["weights"]
    slow = Side([arguments.peer, str(real_items.HERE / "peers" / "lm_eval_local.py"), f"{kept}/weights-float32", f"{kept}/tokenizer"])
    few = [requests[i] for i in sample]
    tried = {}
    for batch in arguments.batches:
        part = few[:: max(1, len(few) // max(4, batch // 2))][: max(4, batch // 2)]
        tried[batch] = slow.ask(kind=kind, requests=part, batch=batch, tokens=128)["seconds"] / len(part)
    best = min(tried, key=tried.get)
    one, other = [], []
    for _ in range(arguments.rounds):
        one.append(fast.ask(kind=kind, requests=requests, tokens=128))
        other.append(slow.ask(kind=kind, requests=few, batch=best, tokens=128))
    mine = min(one, key=lambda r: r["seconds"])
    theirs = min(other, key=lambda r: r["seconds"])
    each, peer_each = mine["seconds"] / len(requests), theirs["seconds"] / len(few)
    print(f"{name}: {len(requests)} items, of the peer {len(few)} at batch size {best} (seconds per item: {tried})")
    print(f"  Proctor {1 / each:.2f} items/s ({mine['seconds']:.1f} s, {mine['mib']:.0f} MiB)")
    print(f"  peer {1 / peer_each:.2f} items/s ({theirs['mib']:.0f} MiB)")
    print(f"  ratio {peer_each / each:.1f}   memory {mine['mib'] / theirs['mib']:.2f}")
    if kind == "likelihood":
        speed = mine["unique"] / mine["seconds"]
        print(f"  {mine['unique']} unique tokens, {speed:.0f}/s; forward {mine['rate']:.0f}/s: {speed / mine['rate']:.0%} of the limit")
        at = [0]
        for _, texts in requests:
            at.append(at[-1] + len(texts))
        pairs = [pair for i in sample for pair in mine["values"][at[i] : at[i + 1]]]
        worst = max(abs(a[0] - b[0]) for a, b in zip(pairs, theirs["values"], strict=True))
        flags = sum(a[1] != b[1] for a, b in zip(pairs, theirs["values"], strict=True))
        print(f"  largest difference of {len(pairs)} log-likelihoods {worst:.1e}, greedy flags that differ: {flags}")
        if worst > 2e-3 or flags:
            sys.exit("the two sides do not agree")
    else:
        same = sum(mine["values"][i].strip() == text.strip() for i, text in zip(sample, theirs["values"], strict=True))
        print(f"  {mine['written']} tokens written, {mine['written'] / mine['seconds']:.0f}/s; equal texts: {same} of {len(sample)}")
    sys.stdout.flush()
    fast.close()
    slow.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer")
    parser.add_argument("--work", default="mmlu,arc,piqa,gsm8k")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--peer-items", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=lambda text: [int(part) for part in text.split(",")], default=[1, 4, 16])
    arguments = parser.parse_args()
    for name in arguments.work.split(","):
        requests = getattr(real_items, name)(arguments.items * (1 if name == "mmlu" else 10))
        step = max(1, len(requests) // arguments.peer_items)
        compare(name, requests, list(range(0, len(requests), step))[: arguments.peer_items], arguments)


if __name__ == "__main__":
    ours() if sys.argv[1:] == ["--ours"] else main()
