"""A server that speaks the OpenAI and Anthropic HTTP APIs over a deterministic stand-in for a model, and misbehaves on request.

The stand-in answers a chat with `echo: ` + its last user turn. As a language model its tokens are words with the white space before
them; a token's log-probability is minus its length, and it is the likeliest one unless it holds an `x`.
"""

import asyncio
import random
import re
import threading
import time

from aiohttp import web

FAULTS = ("429", "500", "529", "drop", "slow", "garbage", "empty", "half")


class FaultyServer:
    """Context manager. `fault_rate` of the requests meet one of FAULTS, drawn with `seed`; a `script` is a list of faults for the first
    requests, None for none."""

    def __init__(
        self, fault_rate=0.0, seed=0, script=(), key=None, echo=True, start_token=False, reply=None, status=None, delay=0.0, lists=False
    ):
        self.fault_rate, self.draws, self.script = fault_rate, random.Random(seed), list(script)
        self.key, self.echo, self.start_token, self.reply, self.status, self.delay = key, echo, start_token, reply, status, delay
        self.lists = lists  # takes several prompts in one request
        self.bodies, self.headers, self.times, self.now, self.most = [], [], [], 0, 0
        self._ready = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        self.routes(app.router)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    def routes(self, router):
        for path in ("chat/completions", "completions", "messages"):
            router.add_post(f"/v1/{path}", self._handle)

    async def _handle(self, request):
        answer = {"/v1/chat/completions": self._chat, "/v1/completions": self._completion, "/v1/messages": self._message}[request.path]
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            body = await request.json()
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            self.times.append(time.monotonic())
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.key and self.key not in (request.headers.get("Authorization", ""), request.headers.get("x-api-key", "")):
                return web.json_response({"error": {"message": f"wrong key {request.headers.get('Authorization')}"}}, status=401)
            if self.status:
                return web.json_response(self.status[1], status=self.status[0])
            fault = self.script.pop(0) if self.script else self.draws.choice(FAULTS) if self.draws.random() < self.fault_rate else None
            if fault:
                response = await self._misbehave(fault, request)
                if response is not None:
                    return response
            if self.reply is not None:
                found = self.reply(body) if callable(self.reply) else self.reply
                return found if isinstance(found, web.StreamResponse) else web.json_response(found)
            return answer(body)
        finally:
            self.now -= 1

    async def _misbehave(self, fault, request):
        if fault == "429":
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})
        if fault in ("500", "529"):
            return web.Response(text="<html>\n  it broke </html>", status=int(fault))
        if fault == "drop":
            request.transport.close()
            return web.Response()
        if fault == "slow":
            await asyncio.sleep(0.3)
            return None
        if fault == "garbage":
            return web.Response(text="{not json", content_type="application/json")
        if fault == "empty":
            return web.json_response({"choices": [], "content": None})
        if fault == "hang":
            await asyncio.sleep(3600)
        assert fault in ("half", "endless")
        response = web.StreamResponse(headers={"Content-Length": "1000"} if fault == "half" else {})
        await response.prepare(request)
        await response.write(b'{"choices": [')
        if fault == "half":
            request.transport.close()
            return response
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b" " * 2**18)
        return response

    def _chat(self, body):
        said = body["messages"][-1]["content"]
        text, finish = f"echo: {said}", "stop"
        for stop in body.get("stop", ()):
            text = text.split(stop)[0]
        usage = {"prompt_tokens": len(said.split()), "completion_tokens": len(text.split()), "prompt_tokens_details": {"cached_tokens": 1}}
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        return web.json_response({"model": "stand-in-1", "choices": [choice], "usage": usage})

    def _completion(self, body):
        if not body.get("echo"):
            usage = {"prompt_tokens": len(words(body["prompt"])), "completion_tokens": 1}
            return web.json_response({"model": "stand-in-1", "choices": [{"text": " 9", "finish_reason": "length"}], "usage": usage})
        if not self.echo:
            return web.json_response({"error": {"message": "echo is not supported"}}, status=400)
        if isinstance(body["prompt"], str):
            choice, used = self._echoed(body["prompt"])
            return web.json_response({"choices": [choice], "usage": {"prompt_tokens": used, "completion_tokens": 1}})
        if not self.lists:
            return web.json_response({"error": {"message": "one prompt at a time"}}, status=500)
        echoed = [self._echoed(prompt) for prompt in body["prompt"]]
        choices = [{**choice, "index": index} for index, (choice, _) in enumerate(echoed)]
        usage = {"prompt_tokens": sum(used for _, used in echoed), "completion_tokens": len(choices)}
        return web.json_response({"choices": choices[::-1], "usage": usage})

    def _echoed(self, prompt):
        tokens = (["<s>"] if self.start_token else []) + words(prompt) + [" more"]
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        values = [None, *(-float(len(token)) for token in tokens[1:])]
        tops = [
            None,
            *({token: value, "y": value + 1 if "x" in token else value - 1} for token, value in zip(tokens[1:], values[1:], strict=True)),
        ]
        logprobs = {"tokens": tokens, "token_logprobs": values, "text_offset": offsets, "top_logprobs": tops}
        return {"text": prompt + " more", "logprobs": logprobs}, len(tokens) - 1

    def _message(self, body):
        said = body["messages"][-1]["content"]
        usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0}
        blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": f"echo: {said}"}]
        return web.json_response({"type": "message", "model": "stand-in-1", "content": blocks, "stop_reason": "end_turn", "usage": usage})


def words(text):
    return re.findall(r"\s*\S+|\s+$", text)
