"""What is sent to an OpenAI-compatible API and how its answers are read, against a stand-in server.

A real server is in test_openai_server.py.
"""

import string

import pytest
from aiohttp import web
from faulty_server import FaultyServer, words
from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.errors import ModelError
from proctor.models import connection
from proctor.models.base import Ask
from proctor.models.echo import Logprobs, score_tail
from proctor.models.open import open_model
from proctor.types import Generate, Item, Likelihood, Message, Prompt


def ask_for(request):
    return Ask(0, "t", Item("i", {}), 0, request)


def answer(model, request):
    [(_, response)] = model.answer([ask_for(request)])
    return response


def question(text="Why?", **prompt):
    return Prompt((Message("system", "Be brief."), Message("user", text)), **prompt)


@pytest.fixture
def official(monkeypatch):
    """`official(server, model)`: the model as `openai:` would open it, with the server in the API's place."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")

    def opened(server, model="gpt-4.1-mini", options=""):
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        return open_model(f"openai:{model}{options}")

    return opened


def replies(message, finish="stop", usage=None):
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage, "model": "gpt-4.1-mini-2025-04-14"}


def test_what_the_official_api_is_sent(official):
    request = Generate(question(), max_tokens=9, stop=("A", "B", "C", "D", "E"), temperature=0.7, top_p=0.9, seed=4)
    with FaultyServer(reply=replies({"content": "an Elephant"})) as server:
        response = answer(official(server), request)
    assert server.bodies == [
        {
            "model": "gpt-4.1-mini",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
            "max_completion_tokens": 9,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 4,
            "stop": ["A", "B", "C", "D"],
        }
    ]
    assert server.headers[0]["Authorization"] == "Bearer sk-test"
    assert (response.text, response.finish) == ("an ", "stop")  # the fifth stop text is cut here
    assert response.served_by == "gpt-4.1-mini-2025-04-14"


def test_what_another_server_is_sent():
    with FaultyServer() as server:
        answer(open_model(f"{server.url}?api=chat#org/name"), Generate(question(), max_tokens=9))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    assert server.bodies == [{"model": "org/name", "messages": messages, "max_tokens": 9, "temperature": 0.0}]
    assert "Authorization" not in server.headers[0]


def test_a_prefill_goes_to_the_end_of_the_users_turn(official):
    with FaultyServer() as server:
        response = answer(official(server), Generate(question(prefill="Because", delimiter="\n")))
    assert response.text == "echo: Why?\nBecause"


@pytest.mark.parametrize(
    ("style", "api", "sent"),
    [
        ("plain", "chat", {"messages": [{"role": "user", "content": "Be brief.\n\nWhy? Because"}]}),
        ("plain", "auto", {"prompt": "Be brief.\n\nWhy? Because"}),
        ("auto", "completions", {"prompt": "Be brief.\n\nWhy? Because"}),
        ("auto", "auto", {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why? Because"}]}),
    ],
)
def test_chat_or_running_text(style, api, sent):
    with FaultyServer() as server:
        model = open_model(f"{server.url}?api={api}#m")
        request = Generate(question(prefill="Because", style=style))
        response = answer(model, request)
    assert response.finish in ("stop", "length")
    body = server.bodies[-1]
    assert {key: body.get(key) for key in ("messages", "prompt") if key in body} == sent
    [shown] = model.preview(request).texts
    assert all(m["content"] in shown for m in sent.get("messages", ())) if "messages" in sent else shown == sent["prompt"]


@pytest.mark.parametrize(
    ("message", "finish", "text", "ended"),
    [
        ({"content": "42"}, "stop", "42", "stop"),
        ({"content": "42"}, "length", "42", "length"),
        ({"content": "42 END 43"}, "length", "42 ", "stop"),
        ({"content": None, "refusal": "I cannot."}, "stop", "I cannot.", "refused"),
        ({"content": None}, "content_filter", "", "refused"),
        ({"content": "4", "reasoning_content": "2 END 2"}, "stop", "<think>2 END 2</think>\n4", "stop"),
        ({"content": "4", "reasoning": "2+2"}, "stop", "<think>2+2</think>\n4", "stop"),
        ({"content": "", "reasoning_content": "2+"}, "length", "<think>2+</think>\n", "length"),
        ({"content": [{"type": "text", "text": "4"}, {"type": "other"}]}, "stop", "4", "stop"),
    ],
)
def test_how_an_answer_is_read(official, message, finish, text, ended):
    with FaultyServer(reply=replies(message, finish)) as server:
        response = answer(official(server), Generate(question(), stop=("END",)))
    assert (response.text, response.finish) == (text, ended)


def test_tokens_and_cost_are_read(official):
    pytest.importorskip("genai_prices")
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 50},
    }
    with FaultyServer(reply=replies({"content": "x"}, usage=usage)) as server:
        response = answer(official(server), Generate(question()))
        local = answer(open_model(f"{server.url}?api=chat#gpt-4.1-mini"), Generate(question()))
    assert (response.input_tokens, response.output_tokens, response.cached_tokens, response.reasoning_tokens) == (1000, 200, 400, 50)
    # OpenAI's published prices of gpt-4.1-mini (April 2025): $0.40 in, $0.10 cached, $1.60 out per million tokens.
    assert response.cost == pytest.approx((600 * 0.40 + 400 * 0.10 + 200 * 1.60) / 1e6)
    assert local.cost is None


def test_a_refused_temperature_is_left_out_from_then_on(official):
    def reply(body):
        if "temperature" in body:
            message = "Unsupported value: 'temperature' does not support 0.0 with this model."
            return web.json_response({"error": {"message": message, "param": "temperature", "code": "unsupported_value"}}, status=400)
        return replies({"content": "fine"})

    with FaultyServer(reply=reply) as server:
        model = official(server, "o3", "?concurrency=1")
        answered = list(model.answer([ask_for(Generate(question()))] * 3))
        assert [r.text for _, r in answered] == ["fine"] * 3
        # Those already waiting for the connection were written before the first was refused.
        assert sum("temperature" in body for body in server.bodies) <= 2
        server.bodies.clear()
        answer(model, Generate(question()))
        assert [sorted(body) for body in server.bodies] == [["max_completion_tokens", "messages", "model"]]
    assert model.describe()["not_sent"] == ["temperature"]


def test_a_bad_value_of_a_parameter_is_the_items_error(official):
    error = {"message": "temperature must be at most 2", "param": None}
    with FaultyServer(status=(400, {"error": error})) as server:
        response = answer(official(server), Generate(question(), temperature=3.0))
    assert response.error == "HTTP 400: temperature must be at most 2"
    assert len(server.bodies) == 1


def test_a_prompt_stopped_by_the_content_filter_is_refused(official):
    with FaultyServer(status=(400, {"error": {"message": "filtered", "code": "content_filter"}})) as server:
        response = answer(official(server), Generate(question()))
    assert (response.finish, response.text) == ("refused", "")


def test_the_official_api_only_generates(official):
    with FaultyServer() as server:
        model = official(server)
        assert model.kinds == {"generate"}
        response = answer(model, Likelihood((question(),), ("a",)))
        assert not server.bodies
    assert response.finish == "error"


def test_likelihoods_by_echo():
    prompts = (Prompt((Message("user", "Which letter? "),)), Prompt())
    with FaultyServer() as server:
        model = open_model(f"{server.url}#m")
        assert model.kinds == {"generate", "likelihood"}
        assert len(server.bodies) == 3
        response = answer(model, Likelihood(prompts, ("A b", "extra long")))
        assert model.kinds == {"generate", "likelihood"}
    assert sorted(body["prompt"] for body in server.bodies[3:]) == ["A b", "Which letter? A b", "Which letter? extra long", "extra long"]
    # Tokens after the question: " A", " b" and " extra", " long" (the moved space is theirs); alone, the first has no log-probability.
    assert response.loglikelihoods == ((-4.0, -11.0), (-2.0, -5.0))
    assert response.greedy == ((True, False), (True, True))
    assert response.token_counts == (2, 2)
    assert response.input_tokens == 4 + 4 + 2 + 2


@pytest.mark.parametrize("start_token", [False, True])
def test_a_server_that_takes_several_prompts_gets_all_texts_of_an_ask_at_once(start_token):
    asked = Likelihood((Prompt((Message("user", "Which letter? "),)), Prompt((Message("user", "Answer:"),))), ("A b", "extra long", "C"))
    with FaultyServer(start_token=start_token) as server:
        apart = answer(open_model(f"{server.url}#m"), asked)
        assert len(server.bodies) == 3 + 6
    with FaultyServer(start_token=start_token, lists=True) as server:
        together = answer(open_model(f"{server.url}#m"), asked)
        assert len(server.bodies) == 3 + 1
    for name in ("loglikelihoods", "greedy", "token_counts", "input_tokens", "output_tokens", "finish"):
        assert getattr(together, name) == getattr(apart, name)


def test_a_server_that_scores_together_what_it_does_not_alone_is_asked_apart():
    """One that takes a list of prompts and answers the first alone, or with other log-probabilities, is not trusted with lists."""

    def reply(body):
        if isinstance(body["prompt"], str):
            return server._completion(body)
        choice, _ = server._echoed("9 9 9")
        return {"choices": [{**choice, "index": index} for index in range(len(body["prompt"]))]}

    with FaultyServer(reply=reply) as server:
        response = answer(open_model(f"{server.url}#m"), Likelihood((question(),), ("a", "b c")))
        assert [type(body["prompt"]) for body in server.bodies] == [str, str, list, str, str]
    assert response.loglikelihoods == ((-2.0, -4.0),)


def test_contexts_with_a_common_beginning_are_sent_side_by_side():
    def one(k, text):
        return Ask(k, "t", Item(str(k), {}), 0, Likelihood((Prompt((Message("user", text),)),), ("a", "b")))

    texts = ["aaaa first", "bbbb first", "aaaa second", "bbbb second", "aaaa third", "bbbb third"]
    with FaultyServer(lists=True) as server:
        model = open_model(f"{server.url}?concurrency=3#m")
        assert model.kinds == {"generate", "likelihood"}
        sent = len(server.bodies)
        assert sorted(one.index for one, _ in model.answer(one(k, text) for k, text in enumerate(texts))) == list(range(6))
        begins = [body["prompt"][0][:4] for body in server.bodies[sent:]]
    assert begins == ["aaaa"] * 3 + ["bbbb"] * 3


def test_likelihoods_where_the_server_spells_a_start_token():
    with FaultyServer(start_token=True) as server:
        response = answer(open_model(f"{server.url}#m"), Likelihood((Prompt((Message("user", "Which letter?"),)), Prompt()), ("A b",)))
    assert response.loglikelihoods == ((-4.0,), (-3.0,))


def test_one_token_alone_has_no_likelihood():
    with FaultyServer() as server:
        response = answer(open_model(f"{server.url}#m"), Likelihood((Prompt(),), ("A",)))
    assert response.finish == "error"
    assert "first token" in response.error


def test_a_server_without_echo_only_generates():
    with FaultyServer(echo=False) as server:
        model = open_model(f"{server.url}#m")
        assert model.kinds == {"generate"}
        assert answer(model, Generate(question(style="plain"))).text == " 9"
        error = answer(model, Likelihood((question(),), ("a",))).error
    assert "echo is not supported" in error
    assert "echo is not supported" in model.describe()["no_likelihood"]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_WAIT", 0.01)


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504, 529])
def test_a_server_that_is_busy_is_not_taken_for_one_without_echo(quick, status, failing):
    calls = iter([True, failing, failing])  # the first request of all fails, then as told

    def reply(body):
        if next(calls, failing):
            return web.json_response({"error": "busy"}, status=status)
        return stand_in._completion(body)

    stand_in = FaultyServer(reply=reply)
    with stand_in as server:
        model = open_model(f"{server.url}?tries=4#m")
        if failing:
            with pytest.raises(ModelError, match=rf"the server is not ready: HTTP {status} after 4 tries: busy; try again$"):
                _ = model.kinds
            assert len(server.bodies) == 4
        else:
            assert model.kinds == {"generate", "likelihood"}


@pytest.mark.parametrize(
    ("fault", "said"), [("hang", "no complete answer"), ("drop", "connection dropped"), ("half", "connection dropped")]
)
def test_a_server_that_does_not_finish_an_answer_is_not_taken_for_one_without_echo(quick, fault, said):
    with FaultyServer(script=[None, fault, fault]) as server:
        model = open_model(f"{server.url}?tries=2&timeout=0.3#m")
        with pytest.raises(ModelError, match=f"the server is not ready: {said}"):
            _ = model.kinds
        assert model.kinds == {"generate", "likelihood"}  # asked again


@pytest.mark.parametrize("fault", ["500", "garbage", "empty"])
def test_a_server_that_breaks_over_echo_only_generates(quick, fault):
    with FaultyServer(script=[None, fault, fault]) as server:
        assert open_model(f"{server.url}?tries=2#m").kinds == {"generate"}


def test_misaligned_log_probabilities_are_found_out():
    """llama-cpp-python gives each token the log-probability of the next position where a model has no start token."""

    def reply(body):
        if not body.get("echo"):
            return {"choices": [{"text": " 9"}]}
        tokens = words(body["prompt"])
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        tops = [None, *({"y": -0.1, token: -9.0} for token in tokens[1:])]
        logprobs = {"tokens": tokens, "token_logprobs": [None, *[-9.0] * (len(tokens) - 1)], "text_offset": offsets, "top_logprobs": tops}
        return {"choices": [{"text": "", "logprobs": logprobs}]}

    with FaultyServer(reply=reply) as server:
        model = open_model(f"{server.url}#m")
        assert model.kinds == {"generate"}
    assert "its own greedy answer is not the likeliest" in model.describe()["no_likelihood"]


def test_a_model_the_server_does_not_have_is_told_when_it_is_asked():
    body = {"error": {"message": "The model `m` does not exist.", "code": 404}}
    with FaultyServer(status=(404, body)) as server, pytest.raises(ModelError, match="The model `m` does not exist"):
        _ = open_model(f"{server.url}#m").kinds


@pytest.mark.parametrize("name", ["tokens", "text_offset", "token_logprobs"])
def test_lists_of_unlike_length_are_refused(name):
    lists = {"tokens": ["a", " b"], "token_logprobs": [None, -1.0], "text_offset": [0, 1]}
    lists[name] = lists[name][:1]
    with pytest.raises(ValueError, match="length"):
        score_tail(Logprobs(**lists), "a b", 1, 0)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.text(alphabet=string.ascii_letters + " \nä", min_size=1, max_size=5), min_size=2, max_size=12),
    st.data(),
    st.booleans(),
    st.integers(0, 2),
    st.booleans(),
)
def test_the_tail_is_every_token_that_ends_behind_the_start(tokens, data, start_token, extra, counted):
    text = "".join(tokens)
    start = data.draw(st.integers(0, len(text) - 1))
    ends = [sum(map(len, tokens[: i + 1])) for i in range(len(tokens))]
    wanted = [i for i, end in enumerate(ends) if end > start]
    sent = [*(["<s>"] if start_token else []), *tokens, *["zz"] * extra]
    values = [None, *(-1.5 * (i + 1) for i in range(len(sent) - 1))]
    offsets = [sum(map(len, sent[:i])) for i in range(len(sent))]
    tops = [None, *({"best": v + (0.1 if i % 3 == 2 else -0.1), sent[i + 1] + "'": v} for i, v in enumerate(values[1:]))]
    logprobs = Logprobs(sent, values, offsets, tops)
    generated = extra if counted or start_token else None
    indices = [i + start_token for i in wanted if i + start_token > 0]
    if not indices:
        with pytest.raises(ValueError, match="first token"):
            score_tail(logprobs, text, start, generated)
        return
    scored = score_tail(logprobs, text, start, generated)
    assert scored.tokens == len(indices)
    assert scored.loglikelihood == pytest.approx(sum(values[i] for i in indices))
    assert scored.greedy == all((i - 1) % 3 != 2 for i in indices)
