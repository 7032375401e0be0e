"""How much Proctor's HTTP driver costs: requests per second and CPU time per request, beside a bare aiohttp loop, in one run.

    python benchmarks/http_driver.py [--requests 4000] [--concurrency 32] [--rounds 5]

The server answers a canned chat completion at once, from a process of its own. The bare loop is the least one can write with aiohttp:
workers that share a session, post a body and decode the JSON. The two take turns; the best round of each counts.
"""

import argparse
import asyncio
import json
import multiprocessing
import time

import aiohttp
from aiohttp import web

from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.types import Generate, Item, Message, Prompt

CANNED = json.dumps(
    {
        "model": "canned",
        "choices": [{"message": {"role": "assistant", "content": "42"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
).encode()


def serve(port):
    async def answer(request):
        await request.read()
        return web.Response(body=CANNED, content_type="application/json")

    async def main():
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.send(site._server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


async def bare(url, requests, concurrency):
    body = {"model": "m", "messages": [{"role": "user", "content": "What is 6 × 7?"}], "max_tokens": 16, "temperature": 0.0}
    left = iter(range(requests))

    async def worker(session):
        for _ in left:
            async with session.post(f"{url}/chat/completions", json=body) as response:
                assert (await response.json())["choices"][0]["message"]["content"] == "42"

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))


def driven(url, requests, concurrency):
    model = open_model(f"{url}?concurrency={concurrency}&api=chat#m")
    prompt = Prompt((Message("user", "What is 6 × 7?"),))
    asks = (Ask(i, "t", Item(str(i), {}), 0, Generate(prompt, max_tokens=16)) for i in range(requests))
    assert sum(response.text == "42" for _, response in model.answer(asks)) == requests


def measure(work):
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    ways = {
        "bare aiohttp": lambda n: asyncio.run(bare(url, n, args.concurrency)),
        "proctor": lambda n: driven(url, n, args.concurrency),
    }
    taken = {name: [] for name in ways}
    for work in ways.values():
        work(200)  # imports and the first connections
    for _ in range(args.rounds):
        for name, work in ways.items():
            taken[name].append(measure(lambda work=work: work(args.requests)))
    server.terminate()
    best = {name: (min(wall for wall, _ in rounds), min(cpu for _, cpu in rounds)) for name, rounds in taken.items()}
    print(f"{args.requests} requests, concurrency {args.concurrency}, best of {args.rounds} rounds")
    print(f"{'':14}{'requests/s':>12}{'CPU ms/request':>17}")
    for name, (wall, cpu) in best.items():
        print(f"{name:14}{args.requests / wall:12.0f}{1000 * cpu / args.requests:17.3f}")
    bare_wall, bare_cpu = best["bare aiohttp"]
    wall, cpu = best["proctor"]
    print(f"{'ratio':14}{bare_wall / wall:12.2f}{cpu / bare_cpu:17.2f}")


if __name__ == "__main__":
    main()
