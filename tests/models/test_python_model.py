import functools
import sys
import threading

import pytest

from proctor.errors import ModelError
from proctor.models.base import Ask
from proctor.models.open import open_model
from proctor.models.python_function import PythonModel
from proctor.types import Generate, Item, Likelihood, Message, Prompt, Response

PROMPT = Prompt((Message("system", "S"), Message("user", "Q")), prefill="P")


def answer(model, request):
    [(_, response)] = model.answer([Ask(0, "t", Item("i", {}), 0, request)])
    return response


def test_a_function_of_the_prompt():
    model = PythonModel(lambda prompt: f"<{prompt}> END more")
    response = answer(model, Generate(PROMPT, stop=(" END",)))
    assert response.text == "<S\n\nQ P>"
    assert response.started_at > 0
    assert model.kinds == {"generate"}


def test_a_function_of_the_messages():
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "P"}]
    assert answer(PythonModel(lambda messages: repr(messages)), Generate(PROMPT)).text == repr(turns)
    plain = Prompt(PROMPT.messages, "P", style="plain")
    assert answer(PythonModel(lambda messages: repr(messages)), Generate(plain)).text == repr([{"role": "user", "content": "S\n\nQ P"}])


def test_a_function_of_the_request():
    request = Generate(PROMPT, max_tokens=3)
    model = PythonModel(lambda request: Response(text=str(request.max_tokens), finish="length", output_tokens=3))
    response = answer(model, request)
    assert (response.text, response.finish, response.output_tokens) == ("3", "length", 3)

    def annotated(asked: Generate):
        return str(asked.max_tokens)

    assert answer(PythonModel(annotated), request).text == "3"


def test_settings_are_passed_where_they_are_taken():
    request = Generate(PROMPT, max_tokens=3, temperature=0.5, seed=7)

    def some(prompt, seed, *, temperature):
        return f"{seed} {temperature}"

    assert answer(PythonModel(some), request).text == "7 0.5"
    everything = answer(PythonModel(lambda prompt, **settings: repr(sorted(settings))), request).text
    assert everything == "['max_tokens', 'seed', 'stop', 'temperature', 'top_p']"


def test_likelihoods():
    def scored(request):
        return Response(loglikelihoods=tuple(tuple(-float(len(c)) for c in request.continuations) for _ in request.prompts))

    request = Likelihood((PROMPT, Prompt()), ("a", "bcd"))
    assert answer(PythonModel(scored), request).error == "the function gives texts, no log-likelihoods"
    scored.kinds = {"likelihood"}
    assert answer(PythonModel(scored), request).loglikelihoods == ((-1.0, -3.0), (-1.0, -3.0))

    def short(request):
        return Response(loglikelihoods=((-1.0,),))

    short.kinds = {"likelihood"}
    assert "shape prompts × continuations" in answer(PythonModel(short), request).error


async def coroutine(prompt):
    return "x"


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (lambda prompt: int("x1"), "ValueError: invalid literal for int() with base 10: 'x1'"),
        (lambda prompt: {}[prompt], "KeyError: 'S\\n\\nQ P'"),
        (lambda prompt: None, "the function returned NoneType, not a text"),
        (coroutine, "the function returned coroutine, not a text"),
        (lambda request: Response(), "the function's Response has no text"),
    ],
)
def test_what_goes_wrong_in_the_function_is_the_items_error(function, error):
    response = answer(PythonModel(function), Generate(PROMPT))
    assert (response.finish, response.error) == ("error", error)


def test_ctrl_c_in_the_function_is_not_swallowed():
    def interrupted(prompt):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(PythonModel(interrupted), Generate(PROMPT))


def test_by_name_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_agent_for_test", raising=False)
    (tmp_path / "my_agent_for_test.py").write_text("def answer(prompt):\n    return prompt.upper()\n")
    path = list(sys.path)
    model = open_model("python:my_agent_for_test:answer")
    assert sys.path == path
    assert (model.uri, answer(model, Generate(PROMPT)).text) == ("python:my_agent_for_test:answer", "S\n\nQ P")
    before = model.fingerprint
    assert open_model("python:my_agent_for_test:answer").fingerprint == before
    (tmp_path / "my_agent_for_test.py").write_text("def answer(prompt):\n    return prompt.lower()\n")
    assert open_model("python:my_agent_for_test:answer").fingerprint != before


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        ("import no_such_thing_at_all\n", "f", "importing broken_for_test failed: No module named 'no_such_thing_at_all'"),
        ("1/0\n", "f", "importing broken_for_test failed: ZeroDivisionError: division by zero"),
        ("f = 3\n", "f", "f is int, not a function"),
        ("def f(): pass\n", "f", "must take the prompt"),
        ("def answer(p): pass\n", "anser", "has no 'anser'; did you mean 'answer'"),
        ("def f(p): pass\nf.kinds = {'likelihood'}\n", "f", "`kinds` must be a set"),
    ],
)
def test_a_module_that_does_not_fit_gets_one_message(tmp_path, monkeypatch, source, function, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_for_test", raising=False)
    (tmp_path / "broken_for_test.py").write_text(source)
    with pytest.raises(ModelError, match=message):
        open_model(f"python:broken_for_test:{function}")


def test_callables_are_named_and_told_apart():
    class Agent:
        def __call__(self, prompt):
            return "x"

    assert PythonModel(Agent(), "agent").uri == "agent"
    assert answer(PythonModel(Agent()), Generate(PROMPT)).text == "x"
    assert PythonModel(len).fingerprint != PythonModel(sum).fingerprint
    with pytest.raises(ModelError, match="must be callable"):
        PythonModel(3)


class Suffix:
    def __init__(self, text):
        self.text = text

    def __call__(self, prompt):
        return prompt + self.text

    def method(self, prompt):
        return self.text


def closure(text):
    return lambda prompt: text


def nested(text):
    inner = closure(text)

    def outer(prompt):
        return inner(prompt)

    return outer


def default(text):
    def answer(prompt, suffix=text):
        return suffix

    return answer


def local_class(text):
    class Local:
        def __call__(self, prompt):
            return text

    return Local()


def two_arguments(text, prompt):
    return text


MAKERS = [
    closure,
    nested,
    default,
    local_class,
    Suffix,
    lambda text: Suffix(text).method,
    lambda text: functools.partial(two_arguments, text),
    lambda text: functools.partial(Suffix(text)),
    lambda text: Suffix([{"deep": Suffix(text)}]),
]


@pytest.mark.parametrize("make", MAKERS)
def test_functions_of_one_source_are_told_apart_by_what_they_hold(make):
    def fingerprint(text):
        return PythonModel(make(text), "m").fingerprint

    assert fingerprint("one") == fingerprint("one") != fingerprint("two")


def test_two_lambdas_of_one_module_are_told_apart():
    assert PythonModel(lambda prompt: "a").fingerprint != PythonModel(lambda prompt: "b").fingerprint


SETTING = "x"
LOCK = threading.Lock()


def by_setting(prompt):
    return next(SETTING for _ in prompt)


def by_lock(prompt):
    with LOCK:
        return prompt


def calls_by_lock(prompt):
    return by_lock(prompt)


def test_globals_the_function_reads_count(monkeypatch):
    before = PythonModel(by_setting).fingerprint
    assert PythonModel(by_setting).fingerprint == before
    monkeypatch.setitem(globals(), "SETTING", "y")
    assert PythonModel(by_setting).fingerprint != before


@pytest.mark.parametrize(
    "function", [closure(LOCK), Suffix(LOCK), functools.partial(two_arguments, LOCK), by_lock, calls_by_lock, Suffix(iter("ab"))]
)
def test_what_cannot_be_looked_into_is_never_the_same_twice(function):
    assert PythonModel(function).fingerprint != PythonModel(function).fingerprint


def test_by_name_it_is_the_source_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "locked_for_test", raising=False)
    file = tmp_path / "locked_for_test.py"
    file.write_text(
        "import functools, threading\nLOCK = threading.Lock()\ndef f(x, p):\n    return LOCK and p\ng = functools.partial(f, 1)\n"
    )
    before = open_model("python:locked_for_test:g").fingerprint
    assert open_model("python:locked_for_test:g").fingerprint == before
    file.write_text(file.read_text().replace("f, 1", "f, 2"))
    assert open_model("python:locked_for_test:g").fingerprint != before
