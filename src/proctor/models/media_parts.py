"""Messages with pictures, sound and documents as chat APIs are sent them: a list of parts in place of the text."""

from __future__ import annotations

import base64
from typing import Any

from proctor.types import Media, Message


def openai_content(message: Message) -> str | list[dict[str, Any]]:
    """A message's content for an OpenAI-compatible API (https://platform.openai.com/docs/api-reference/chat): the text alone, or parts.

    The bytes are sent with the request, never a URL: what the question was is known then. A plain text is put as text.
    """
    if not message.media:
        return message.content
    return [_text(part) if isinstance(part, str) else _openai_part(part) for part in message.parts()]


def _openai_part(media: Media) -> dict[str, Any]:
    data = media.data()
    if media.type == "text/plain":
        return _text(data.decode("utf-8-sig"))
    encoded = base64.b64encode(data).decode()
    if media.kind == "image":
        return {"type": "image_url", "image_url": {"url": f"data:{media.type};base64,{encoded}"}}
    if media.kind == "audio":
        name = media.type.removeprefix("audio/")
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": "mp3" if name == "mpeg" else name}}
    # A file's own name could give the answer away; the API wants some.
    return {"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:{media.type};base64,{encoded}"}}


def anthropic_content(message: Message) -> str | list[dict[str, Any]]:
    """A message's content for the Anthropic API (https://docs.anthropic.com/en/api/messages): the text alone, or blocks."""
    if not message.media:
        return message.content
    return [_text(part) if isinstance(part, str) else _anthropic_block(part) for part in message.parts()]


def _anthropic_block(media: Media) -> dict[str, Any]:
    data = media.data()
    if media.type == "text/plain":
        return {"type": "document", "source": {"type": "text", "media_type": media.type, "data": data.decode("utf-8-sig")}}
    source = {"type": "base64", "media_type": media.type, "data": base64.b64encode(data).decode()}
    return {"type": media.kind, "source": source}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
