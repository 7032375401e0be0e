"""A Python function as a model: `python:module:function`, or any callable from Python code."""

from __future__ import annotations

import importlib
import inspect
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from proctor.canonical import content_hash
from proctor.errors import ModelError, nearest
from proctor.models.base import ALL_MEDIA, KINDS, Ask, Kind, Model, plain_text
from proctor.models.chat import finished_text, turns
from proctor.models.function_state import source_hash, state_hash
from proctor.models.media_parts import openai_content
from proctor.models.options import read_options
from proctor.types import Corpus, Generate, Likelihood, Rank, Request, Response

_DECODING = ("max_tokens", "stop", "temperature", "top_p", "seed")
_CORPUS = "corpus"


class _NoOptions(msgspec.Struct):
    pass


class PythonModel(Model):
    """Asks a function, one ask after another.

    What the function gets depends on its first parameter: called `messages`, it is the conversation as a list of `{"role", "content"}`
    (the prefill as a last assistant turn), pictures, sound and documents being parts as in the OpenAI API; called `request`, the
    `Generate`, `Likelihood` or `Rank` itself, and a `Response` may come back; else the prompt as one running text. Those of `max_tokens`,
    `stop`, `temperature`, `top_p`, `seed` that it also takes are passed by name, as is the `corpus` of a `Rank`. A function of `request`
    that answers more than `Generate` says so in its attribute `kinds`, a set of `"generate"`, `"likelihood"` and `"rank"`.

    An exception in the function is the error of that item. Texts are cut at the first stop text.

    Args:
        function: what is asked.
        name: stands in the results for the model; default: `python:module:function`.

    The fingerprint holds the name, the source of the function's module, and what the function reaches besides: closures, defaults,
    arguments of `functools.partial`, attributes of the object, globals. Where it reaches something whose contents cannot be told (an open
    file, a client, an object of a C library), no two models share a fingerprint, and answers are never reused. `python:module:function`
    goes by the source of the module alone.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        if not callable(function):
            raise ModelError(f"a model given as an object must be callable or a name, not {type(function).__name__}")
        module = getattr(function, "__module__", None) or "?"
        qualified = getattr(function, "__qualname__", type(function).__qualname__)
        self.uri = name or f"python:{module}:{qualified}"
        self._function = function
        self._takes, self._named = _parameters(function)
        kinds = frozenset(getattr(function, "kinds", ("generate",)))
        if not kinds or kinds - KINDS or (kinds != {"generate"} and self._takes != "request"):
            raise ModelError(
                f"model {self.uri}: `kinds` must be a set of 'generate', 'likelihood' and 'rank', "
                "the latter two with a first parameter `request`"
            )
        self.kinds = cast("frozenset[Kind]", kinds)
        self.media = frozenset() if self._takes == "text" else ALL_MEDIA
        self.fingerprint = content_hash(["python 2", self.uri, module, qualified, state_hash(function) or secrets.token_hex(16)])

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            started, began = time.time(), time.perf_counter()
            try:
                response = self._ask(ask.request, ask.corpus)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the function is the user's; what it raises is the item's error
                said = " ".join(str(error).split())
                response = Response(finish="error", error=f"{type(error).__name__}: {said}" if said else type(error).__name__)
            yield ask, msgspec.structs.replace(response, started_at=started, latency=time.perf_counter() - began)

    def _ask(self, request: Request, corpus: Corpus | None) -> Response:
        if isinstance(request, Likelihood) and "likelihood" not in self.kinds:
            return Response(finish="error", error="the function gives texts, no log-likelihoods")
        argument: Any = request
        named: dict[str, Any] = {_CORPUS: corpus} if isinstance(request, Rank) and _CORPUS in self._named else {}
        stop: tuple[str, ...] = ()
        if isinstance(request, Generate):
            stop = request.stop
            named = {name: getattr(request, name) for name in self._named if name != _CORPUS}
            if self._takes == "text":
                argument = plain_text(request.prompt)[0]
            elif self._takes == "messages":
                argument = [{"role": m.role, "content": openai_content(m)} for m in request.prompt.messages]
                if request.prompt.style == "plain":
                    argument = [{"role": m.role, "content": openai_content(m)} for m in turns(request.prompt, keep_prefill=False)[0]]
                elif request.prompt.prefill:
                    argument.append({"role": "assistant", "content": request.prompt.prefill})
        result = self._function(argument, **named)
        if isinstance(result, Response) and self._takes == "request":
            return _checked(result, request)
        if isinstance(result, str) and isinstance(request, Generate):
            text, _ = finished_text(result, "", stop, "stop")
            return Response(text=text)
        if inspect.iscoroutine(result):
            result.close()
        wanted = "a text" if isinstance(request, Generate) else "a Response"
        return Response(finish="error", error=f"the function returned {type(result).__name__}, not {wanted}")


def _checked(response: Response, request: Request) -> Response:
    """`response`, or an error where it does not answer `request`."""
    if response.finish == "error":
        return response
    if isinstance(request, Generate):
        return response if response.text is not None else Response(finish="error", error="the function's Response has no text")
    if isinstance(request, Rank):
        return response if response.ranking is not None else Response(finish="error", error="the function's Response has no ranking")
    rows = response.loglikelihoods
    if rows is None or len(rows) != len(request.prompts) or any(len(row) != len(request.continuations) for row in rows):
        return Response(finish="error", error="the function's Response needs loglikelihoods of shape prompts × continuations")
    return response


def _parameters(function: Callable[..., Any]) -> tuple[Literal["text", "messages", "request"], tuple[str, ...]]:
    """What the first parameter takes, and which settings of decoding are passed by name."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in callables have none
        return "text", ()
    if not parameters:
        raise ModelError(f"model {getattr(function, '__qualname__', function)}: the function must take the prompt as its first parameter")
    first, *rest = parameters
    annotation = first.annotation if isinstance(first.annotation, str) else getattr(first.annotation, "__name__", str(first.annotation))
    takes: Literal["text", "messages", "request"] = "text"
    if first.name == "messages" or "Message" in annotation:
        takes = "messages"
    elif first.name == "request" or annotation.rpartition(".")[2] in ("Request", "Generate", "Likelihood", "Rank"):
        takes = "request"
    if any(p.kind is p.VAR_KEYWORD for p in rest):
        return takes, _DECODING
    names = {p.name for p in rest if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return takes, tuple(name for name in (*_DECODING, _CORPUS) if name in names)


def open_python(scheme: str, path: str, options: dict[str, str], uri: str) -> PythonModel:
    """`python:module:function`; the module is found on `sys.path` or in the current folder.

    Raises:
        ModelError: no such module or function, a module that fails on import, or something that is not callable.
    """
    read_options(uri, options, _NoOptions)
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise ModelError(f"model {uri}: expected python:module:function, for example python:my_agent:answer")
    found = find_callable(module_name, function_name, uri)
    model = PythonModel(found, uri)
    sources = [source_hash(module_name), source_hash(getattr(found, "__module__", None))]  # the function may be imported from elsewhere
    if any(sources):
        model.fingerprint = content_hash(["python 2", uri, *sources])
    return model


def find_callable(module_name: str, name: str, uri: str) -> Callable[..., Any]:
    """What `name` (dots lead into it) is in a module, which is looked for in the current folder, too.

    Raises:
        ModelError: no such module or name, a module that fails on import, or something that is not callable.
    """
    found: Any = _import(module_name, uri)
    for part in name.split("."):
        if not hasattr(found, part):
            names = [n for n in dir(found) if not n.startswith("_") and callable(getattr(found, n))]
            raise ModelError(f"model {uri}: {module_name} has no '{part}'{nearest(part, names)}")
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(f"model {uri}: {name} is {type(found).__name__}, not a function")
    return cast("Callable[..., Any]", found)


def _import(name: str, uri: str) -> Any:
    here = str(Path.cwd())
    added = here not in sys.path and "" not in sys.path
    if added:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ModelError(f"model {uri}: no module '{name}' on sys.path or in {here}") from None
        raise ModelError(f"model {uri}: importing {name} failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"model {uri}: importing {name} failed: {type(error).__name__}: {error}") from error
    finally:
        if added:
            sys.path.remove(here)
