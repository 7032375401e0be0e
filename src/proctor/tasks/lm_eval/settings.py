"""How tasks of lm-evaluation-harness are named and put: `lm-eval:NAME?compat=lm-eval&chat=turns&path=FOLDER&data=MAP.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote

from msgspec import Struct
from msgspec.structs import replace

from proctor.errors import UsageError, nearest

PREFIX = "lm-eval:"
Chat = Literal["off", "turns", "one-turn"]


class LmEvalSettings(Struct, frozen=True):
    """What is said of the harness's tasks besides their names.

    Attributes:
        paths: folders of task files, beside those of an installed `lm_eval`; a task of a later one goes before one of the same name of an
            earlier one.
        data: a file that says where data sets lie on this machine; see `data_map`.
        compat: whether the harness's protocol is kept to the letter, its few-shot draw and its defects included.
        chat: whether the model's chat template is used (`off`: never; the whole prompt is running text), with examples as `turns` of the
            conversation or all in `one-turn`.
        trust: whether the tasks' own Python code may run. Never part of a name, so that no file can say it.
    """

    paths: tuple[str, ...] = ()
    data: str | None = None
    compat: bool = False
    chat: Chat = "off"
    trust: bool = False


def is_ref(ref: str) -> bool:
    """Whether a name is one of the harness's tasks."""
    return ref.startswith(PREFIX)


def read_ref(ref: str, given: LmEvalSettings | None = None, base: Path | None = None) -> tuple[str, LmEvalSettings]:
    """Name and settings of a reference.

    Args:
        ref: `lm-eval:NAME`, with `?key=value&…` or without.
        given: what is said elsewhere, on the command line; its folders come first, and what the reference says goes before the rest.
        base: folder that the reference's paths start from; default: the current one.

    Raises:
        UsageError: an unknown key or value.
    """
    given = given or LmEvalSettings()
    name, _, query = ref.removeprefix(PREFIX).partition("?")
    said: dict[str, list[str]] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        said.setdefault(key, []).append(value)
    for key in said:
        if key not in ("compat", "chat", "path", "data"):
            more = "; trust in a task's code is given on the command line alone: --trust-task-code" if key == "trust" else ""
            raise UsageError(
                f"{ref}: unknown key '{key}'{nearest(key, ('compat', 'chat', 'path', 'data')) or ';'} keys: compat, chat, path, data{more}"
            )
    if not name:
        raise UsageError(f"{ref}: names no task; write lm-eval:NAME, such as lm-eval:arc_easy, or list them: proctor list tasks lm-eval")
    compat = said.get("compat", ["lm-eval" if given.compat else ""])[-1]
    if compat not in ("", "lm-eval"):
        raise UsageError(f"{ref}: compat: expected 'lm-eval', got '{compat}'")
    chat = said.get("chat", [given.chat])[-1]
    if chat not in get_args(Chat):
        raise UsageError(f"{ref}: chat: expected one of {', '.join(get_args(Chat))}, got '{chat}'")
    own = [str((base or Path()) / path) for path in said.get("path", ())]
    data = said["data"][-1] if "data" in said else None
    return name, replace(
        given,
        paths=tuple(dict.fromkeys([*given.paths, *own])),
        data=str((base or Path()) / data) if data else given.data,
        compat=bool(compat),
        chat=chat,
    )


def write_ref(name: str, settings: LmEvalSettings) -> str:
    """The reference that `read_ref` reads as this name with these settings, trust left out."""
    pairs = [("compat", "lm-eval")] if settings.compat else []
    if settings.chat != "off":
        pairs.append(("chat", settings.chat))
    pairs += [("path", path) for path in settings.paths]
    if settings.data:
        pairs.append(("data", settings.data))
    return PREFIX + name + ("?" + "&".join(f"{key}={quote(value, safe='/.~')}" for key, value in pairs) if pairs else "")
