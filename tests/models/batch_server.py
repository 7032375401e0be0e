"""The batch APIs of OpenAI (`/v1/files`, `/v1/batches`) and Anthropic (`/v1/messages/batches`), over the stand-in of `faulty_server`."""

import asyncio
import json
from datetime import UTC, datetime

from aiohttp import web
from faulty_server import FaultyServer


class BatchServer(FaultyServer):
    """Context manager. A batch ends at its `looks`-th look. `spoil(name, request, batch)` may say that a request becomes `expired`,
    `lost` (no line for it), `garbage` (a line that is none), `malformed` (no completion in it), or (status, error); `lose_creations`
    creations are carried out without an answer; `too_many` requests waiting at once are more than the account may have; `no_batches`: 404
    to everything; so many `unknown_looks` find no batch, so many `early_looks` one that is completed without its files; with `hang_looks`
    none is answered."""

    def __init__(
        self,
        looks=2,
        spoil=None,
        lose_creations=0,
        fail_creations=0,
        too_many=None,
        no_batches=False,
        unknown_looks=0,
        early_looks=0,
        hang_looks=False,
        **rest,
    ):
        super().__init__(**rest)
        self.early_looks = early_looks
        self.no_batches, self.unknown_looks, self.hang_looks, self.hanging = no_batches, unknown_looks, hang_looks, False
        self.looks, self.spoil = looks, spoil or (lambda name, request, batch: None)
        self.lose_creations, self.fail_creations, self.too_many = lose_creations, fail_creations, too_many
        self.batches, self.files, self.requests = [], {}, []

    def routes(self, router):
        router.add_route("*", "/v1/{rest:.*}", self._batching)

    @property
    def answered(self):
        """Requests that were carried out and have to be paid for."""
        return [name for batch in self.batches if not batch.get("failed") for name in batch["names"]]

    async def _batching(self, request):
        self.requests.append((request.method, request.path))
        if self.key and self.key not in (request.headers.get("Authorization", ""), request.headers.get("x-api-key", "")):
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        if self.no_batches:
            return web.json_response({"error": {"message": "Not Found"}}, status=404)
        parts = request.path.split("/")[2:]
        if parts == ["files"]:
            form = await request.post()
            assert form["purpose"] == "batch"
            number = f"file-{len(self.files)}"
            self.files[number] = form["file"].file.read()
            return web.json_response({"id": number, "object": "file"})
        if parts[0] == "files":
            return web.Response(body=self.files[parts[1]])
        anthropic = parts[0] == "messages"
        parts = parts[1:] if anthropic else parts
        if len(parts) == 1 and request.method == "GET":
            return self._listed(request, anthropic)
        if len(parts) == 1:
            return await self._create(request, anthropic)
        batch = next((one for one in self.batches if one["id"] == parts[1]), None)
        if self.hang_looks:
            self.hanging = True
            await asyncio.sleep(60)
        if self.unknown_looks:
            self.unknown_looks -= 1
            batch = None
        if batch is None:
            return web.json_response({"error": {"message": "no such batch"}}, status=404)
        if parts[2:] == ["results"]:
            return web.Response(body=self.files[batch["id"]])
        batch["looks"] += 1
        if batch["looks"] == self.looks and not batch.get("failed"):
            self._carry_out(batch)
        return web.json_response(self._shown(batch))

    async def _create(self, request, anthropic):
        body = await request.json()
        if self.fail_creations:
            self.fail_creations -= 1
            return web.Response(status=500)
        if anthropic:
            asked = {one["custom_id"]: one["params"] for one in body["requests"]}
            count = len(body["requests"])
        else:
            lines = [json.loads(line) for line in self.files[body["input_file_id"]].splitlines()]
            assert all(line["url"] == body["endpoint"] and line["method"] == "POST" for line in lines)
            assert body["completion_window"] == "24h"
            asked, count = {line["custom_id"]: line["body"] for line in lines}, len(lines)
        assert len(asked) == count
        batch = {"id": f"batch_{len(self.batches)}", "names": asked, "looks": 0, "anthropic": anthropic, "created": datetime.now(UTC)}
        batch["metadata"] = body.get("metadata")
        if self.too_many is not None and count > self.too_many:
            batch["failed"] = True
        self.batches.append(batch)
        if self.lose_creations:
            self.lose_creations -= 1
            request.transport.close()
        return web.json_response(self._shown(batch))

    def _listed(self, request, anthropic):
        found = [one for one in reversed(self.batches) if one["anthropic"] == anthropic]
        after, limit = request.query.get("after_id" if anthropic else "after"), int(request.query.get("limit", 20))
        if after:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        return web.json_response({"data": [self._shown(one) for one in found[:limit]], "has_more": len(found) > limit})

    def _shown(self, batch):
        ended = batch.get("ended")
        if batch["anthropic"]:
            counts = {"processing": 0 if ended else len(batch["names"]), "succeeded": len(batch["names"]) if ended else 0}
            times = {"created_at": batch["created"].isoformat(), "ended_at": ended and ended.isoformat()}
            times["cancel_initiated_at"] = times["ended_at"] if batch.get("cancelled") else None
            status = "ended" if ended else "in_progress"
            return {"id": batch["id"], "type": "message_batch", "processing_status": status, "request_counts": counts, **times}
        shown = {"id": batch["id"], "object": "batch", "metadata": batch["metadata"], "created_at": int(batch["created"].timestamp())}
        if batch.get("failed"):
            errors = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]}
            return {**shown, "status": "failed", "errors": errors}
        if ended:
            files = {f"{kind}_file_id": number if number in self.files else None for kind, number in self._names(batch).items()}
            shown["request_counts"] = {"completed": batch["completed"]}
            if self.early_looks:
                self.early_looks -= 1
                files = {}
            status = "cancelled" if batch.get("cancelled") else "expired" if batch.get("expired") else "completed"
            return {**shown, "status": status, "completed_at": int(ended.timestamp()), **files}
        return {**shown, "status": "in_progress", "output_file_id": None}

    def _names(self, batch):
        return {"output": f"{batch['id']}-out", "error": f"{batch['id']}-err"}

    def _carry_out(self, batch):
        lines = {"output": [], "error": []}
        for name, asked in reversed(batch["names"].items()):  # in no order one could rely on
            spoilt = self.spoil(name, asked, batch)
            if spoilt == "lost":
                continue
            if spoilt == "garbage":
                lines["output"].append("{not json")
                continue
            batch["expired"] = batch.get("expired") or spoilt == "expired"
            line = (self._message_line if batch["anthropic"] else self._chat_line)(name, asked, spoilt)
            lines["error" if isinstance(spoilt, tuple) or spoilt == "expired" else "output"].append(json.dumps(line))
        for kind, number in self._names(batch).items():
            if lines[kind]:
                self.files[number] = "".join(f"{line}\n" for line in lines[kind]).encode()
        self.files[batch["id"]] = "".join(f"{line}\n" for line in lines["output"] + lines["error"]).encode()
        batch["completed"] = len(lines["output"])
        batch["ended"] = datetime.now(UTC)

    def _chat_line(self, name, asked, spoilt):
        if spoilt == "expired":
            return {"id": "r", "custom_id": name, "response": None, "error": {"code": "batch_expired", "message": "not in time"}}
        status, body = spoilt if isinstance(spoilt, tuple) else (200, None)
        if body is None:
            body = {"choices": []} if spoilt == "malformed" else json.loads(self._chat(asked).text)
        return {"id": "r", "custom_id": name, "response": {"status_code": status, "request_id": "q", "body": body}, "error": None}

    def _message_line(self, name, asked, spoilt):
        if spoilt == "expired":
            return {"custom_id": name, "result": {"type": "expired"}}
        if isinstance(spoilt, tuple):
            return {"custom_id": name, "result": {"type": "errored", "error": {"type": "error", "error": spoilt[1]}}}
        message = {"content": None} if spoilt == "malformed" else json.loads(self._message(asked).text)
        return {"custom_id": name, "result": {"type": "succeeded", "message": message}}
