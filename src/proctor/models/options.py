"""The options of a model URI (`?key=value&…`) read into a typed struct, with one message for what does not fit."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from proctor.errors import ModelError, nearest

_SECRET = ("key", "api_key", "apikey", "token", "access_token", "password", "secret")

T = TypeVar("T", bound=msgspec.Struct)


def read_options(uri: str, options: dict[str, str], into: type[T]) -> T:
    """`options` as the struct `into`, whose fields are the options there are.

    Raises:
        ModelError: an unknown option, a value of the wrong type, or a secret in the URI.
    """
    known = {field.encode_name: field for field in msgspec.structs.fields(into)}
    values = {}
    for name, text in options.items():
        if name.lower() in _SECRET:
            raise ModelError(
                f"model {_without_options(uri)}: no secrets in the name; put the key in an environment variable (?key_env=NAME)"
            )
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ModelError(f"model {uri}: unknown option '{name}'{nearest(name, known)}; options here: {listed}")
        try:
            values[name] = msgspec.convert(text, known[name].type, strict=False)
        except msgspec.ValidationError as error:
            expected = str(error).replace("`", "").lower().replace("expected bool, got str", "expected true or false")
            raise ModelError(f"model {uri}: option {name}={text}: {expected}") from None
    return into(**values)


def _without_options(uri: str) -> str:
    return uri.split("?", 1)[0]
