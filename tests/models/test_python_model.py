import sys

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
