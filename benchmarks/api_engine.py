"""How near Proctor's API engine comes to what a server allows, and what it costs; in one run.

    python benchmarks/api_engine.py [--requests 5000] [--latency 0.2] [--jitter 0.04] [--rounds 3]

The server answers chat completions from a process of its own, each after latency ± jitter, as many at once as come. Prints, for 256
connections and for the adaptive limit: requests per second as a share of the ideal (256 ÷ latency); the same with one request in a
hundred answered by 429 or 500, and whether every question got its answer; CPU per request at zero latency beside a bare aiohttp loop;
whole runs (`proctor run`, journal, scoring and Parquet included); the time from starting `proctor run` to its first request.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

import proctor
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.types import Generate, Item, Message, Prompt

CONNECTIONS = 256


class Server(asyncio.Protocol):
    """`POST /LATENCY/JITTER/FAULTS/v1/chat/completions`, as little of HTTP as it takes, so that the server is not what is measured."""

    first = last = None  # shared with the other process: the time of the first request since it was 0, and of the last answer

    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def data_received(self, data):
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if not Server.first.value:
            Server.first.value = time.time()
        latency, jitter, faults = map(float, head.split(b" ", 2)[1].split(b"/")[1:4])
        answer = self.answer(rest[:length], faults)
        if latency:
            asyncio.get_running_loop().call_later(random.uniform(latency - jitter, latency + jitter), self.write, answer)
        else:
            self.write(answer)

    def write(self, answer):
        self.transport.write(answer)
        if Server.last is not None:
            Server.last.value = time.time()

    def answer(self, body, faults):
        if faults and random.random() < faults:
            fault = random.choice([b"429 Too Many Requests", b"500 Internal Server Error"])
            return b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % fault
        message = {"role": "assistant", "content": json.loads(body)["messages"][-1]["content"]}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        whole = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        said = json.dumps(whole).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)


def serve(port, first, last=None):
    async def main():
        Server.first, Server.last = first, last
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


def asks(count):
    for i in range(count):
        yield Ask(i, "t", Item(str(i), {}), 0, Generate(Prompt((Message("user", f"question {i}"),)), max_tokens=16))


def driven(url, count, options=""):
    """(seconds, CPU seconds); every question must come back as its own answer."""
    model = open_model(f"{url}?api=chat{options}#m")
    began, cpu = time.perf_counter(), time.process_time()
    answered = {ask.index: response.text for ask, response in model.answer(asks(count))}
    taken = time.perf_counter() - began, time.process_time() - cpu
    assert answered == {i: f"question {i}" for i in range(count)}
    return taken


async def bare(url, count, concurrency):
    left = iter(range(count))

    async def worker(session):
        for i in left:
            body = {"messages": [{"role": "user", "content": f"question {i}"}], "max_tokens": 16, "model": "m", "temperature": 0.0}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                assert (await response.json())["choices"][0]["message"]["content"] == f"question {i}"

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))


def bare_loop(url, count, concurrency):
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(bare(url, count, concurrency))
    return time.perf_counter() - began, time.process_time() - cpu


def whole_run(url, count, options=""):
    """A run with all that belongs to it, from loaded task to written results."""
    rows = [{"id": f"i{k}", "q": f"question {k}", "target": f"question {k}"} for k in range(count)]
    task = proctor.Task(task="echo", data=rows, prompt="{{ q }}", scoring="exact_match")
    with tempfile.TemporaryDirectory() as store:
        began, cpu = time.perf_counter(), time.process_time()
        (run,) = proctor.run(task, f"{url}?api=chat{options}#m", out=store)
        taken = time.perf_counter() - began, time.process_time() - cpu
        assert run.manifest.totals["states"]["scored"] == count
    return taken


def first_request(url, first):
    """Seconds from starting `proctor run` to the first request at the server."""
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(json.dumps({"id": f"i{k}", "q": f"question {k}", "target": f"question {k}"}) + "\n" for k in range(20))
        Path(folder, "items.jsonl").write_text(rows)
        Path(folder, "echo.yaml").write_text("task: echo\ndata: {files: items.jsonl}\nprompt: '{{ q }}'\nscoring: exact_match\n")
        first.value = 0.0
        began = time.time()
        command = [sys.executable, "-m", "proctor", "run", "echo.yaml", "-m", f"{url}?api=chat#m", "--out", "store"]
        subprocess.run(command, cwd=folder, env=os.environ, check=True, capture_output=True)
        return first.value - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--jitter", type=float, default=0.04)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    first = context.Value("d", 0.0)
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs, first), daemon=True)
    server.start()
    root = f"http://127.0.0.1:{ours.recv()}"
    slow, faulty = (f"{root}/{args.latency}/{args.jitter}/{faults}/v1" for faults in ("0", "0.01"))
    instant = f"{root}/0/0/0/v1"
    n, fixed = args.requests, f"&concurrency={CONNECTIONS}"
    ideal = n * args.latency / CONNECTIONS
    driven(instant, 200)  # imports
    print(f"{n} requests, server at {args.latency:g} ± {args.jitter:g} s, best of {args.rounds}; ideal of {CONNECTIONS}: {ideal:.2f} s")
    print(f"{'':34}{'seconds':>9}{'requests/s':>12}{'of ideal':>10}{'CPU ms/request':>16}")
    ways = {
        "bare aiohttp, 256": lambda: bare_loop(slow, n, CONNECTIONS),
        "256 connections": lambda: driven(slow, n, fixed),
        "adaptive": lambda: driven(slow, n),
        "256 connections, 1 % faults": lambda: driven(faulty, n, fixed),
        "adaptive, 1 % faults": lambda: driven(faulty, n),
        "whole run, 256 connections": lambda: whole_run(slow, n, fixed),
        "whole run, adaptive": lambda: whole_run(slow, n),
        "zero latency, bare aiohttp, 32": lambda: bare_loop(instant, n, 32),
        "zero latency, 32 connections": lambda: driven(instant, n, "&concurrency=32"),
        "zero latency, adaptive": lambda: driven(instant, n),
    }
    taken = {name: [] for name in ways}
    for _ in range(args.rounds):  # in turns: what else the machine does falls on all of them
        for name, work in ways.items():
            taken[name].append(work())
    for name, rounds in taken.items():
        wall, cpu = min(wall for wall, _ in rounds), min(cpu for _, cpu in rounds)
        share = "" if name.startswith("zero") else f"{100 * ideal / wall:.1f} %"
        print(f"{name:34}{wall:9.2f}{n / wall:12.0f}{share:>10}{1000 * cpu / n:16.3f}")
    starts = [first_request(instant, first) for _ in range(max(3, args.rounds))]
    print(f"from starting `proctor run` to its first request: {1000 * min(starts):.0f} ms")
    server.terminate()


if __name__ == "__main__":
    main()
