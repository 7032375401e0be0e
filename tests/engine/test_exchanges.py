"""Attempts of several requests: conversations and judges, asked in rounds, kept, continued, rescored."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

import proctor
from proctor.engine.rescore import rescore
from proctor.errors import ModelError, RunStopped, TaskError, UsageError
from proctor.models.base import Ask, Model
from proctor.results.columns import exchanges_of
from proctor.tasks.suite import Suite, Weighted
from proctor.types import Response

TURNS = ["and {{ word }} after {{ answers[-1] }}", "then {{ answers | length }}"]


class Talker(Model):
    """Says how many turns it was shown and the last word; fails or stops where told."""

    kinds = frozenset({"generate"})

    def __init__(self, broken: set[str] | None = None, uri: str = "python:talker") -> None:
        self.uri, self.fingerprint = uri, uri
        self.broken = broken or set()
        self.asked: list[tuple[str, str]] = []

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in list(asks):
            self.asked.append((ask.item.id, ask.step))
            name = f"{ask.item.id} {ask.step}".strip()
            if f"stop {name}" in self.broken:
                raise KeyboardInterrupt
            if name in self.broken:
                yield ask, Response(finish="error", error="HTTP 500")
            else:
                messages = ask.request.prompt.messages
                yield ask, Response(text=f"<think>hm</think>{len(messages)}:{messages[-1].content.split()[-1]}", output_tokens=2)


def talk(n: int = 3, *, turns=TURNS, **keys) -> proctor.Task:
    rows = [{"id": f"i{k}", "word": f"w{k}", "target": "5:2", "later": [f"x{k}", f"y{k}"][: k + 1]} for k in range(n)]
    keys = {"scoring": "exact_match", **keys}
    return proctor.Task(task="talk", data=rows, prompt={"template": "say {{ word }}", "turns": turns}, **keys)


def test_a_conversation_is_asked_turn_by_turn_and_its_last_answer_scored(tmp_path):
    model = Talker()
    (run,) = proctor.run(talk(), model, out=tmp_path)
    assert model.asked == [(f"i{k}", step) for step in ("", "turn 2", "turn 3") for k in range(3)]
    frame = run.attempts()
    assert frame["answer"].to_list() == ["5:2"] * 3
    assert frame["score"].to_list() == [1.0] * 3
    assert frame["text"].to_list() == [f"<think>hm</think>1:w{k}" for k in range(3)]
    second, third = exchanges_of(frame["exchanges"][1])
    assert [one.name for one in (second, third)] == ["turn 2", "turn 3"]
    shown = [(m.role, m.content) for m in third.request.prompt.messages]
    assert shown == [
        ("user", "say w1"),
        ("assistant", "1:w1"),  # its own answer, without the thinking
        ("user", "and w1 after 1:w1"),
        ("assistant", "3:1:w1"),
        ("user", "then 2"),
    ]
    assert run.manifest.totals["output_tokens"] == 18
    assert run.manifest.tasks[0].output_tokens == 18


def test_turns_from_a_column_differ_in_number(tmp_path):
    model = Talker()
    (run,) = proctor.run(talk(turns="later"), model, out=tmp_path)
    assert model.asked[3:] == [("i0", "turn 2"), ("i1", "turn 2"), ("i2", "turn 2"), ("i1", "turn 3"), ("i2", "turn 3")]
    assert run.attempts()["answer"].to_list() == ["3:x0", "5:y1", "5:y2"]


def test_turns_by_a_function_beside_the_task_file(tmp_path):
    (tmp_path / "user.py").write_text(
        "def says(item, answers):\n    return None if len(answers) > 1 else f\"why {item.fields['word']} {answers[-1]}\"\n"
    )
    task = talk(turns="user:says", base=tmp_path)
    (run,) = proctor.run(task, Talker(), out=tmp_path / "store")
    assert exchanges_of(run.attempts()["exchanges"][2])[0].request.prompt.messages[-1].content == "why w2 1:w2"
    (tmp_path / "user.py").write_text("def says(item, answers):\n    return None\n")
    assert talk(turns="user:says", base=tmp_path).protocol_hash != task.protocol_hash


def test_an_interrupted_conversation_continues_where_it_was(tmp_path):
    (whole,) = proctor.run(talk(), Talker(), out=tmp_path / "whole")
    with pytest.raises(RunStopped, match="interrupted after 3 of 3 attempts, before all later turns"):
        proctor.run(talk(), Talker({"stop i1 turn 3"}), out=tmp_path / "parts")
    model = Talker()
    (run,) = proctor.run(talk(), model, out=tmp_path / "parts")
    assert model.asked == [("i1", "turn 3"), ("i2", "turn 3")]
    same = ["item", "text", "answer", "score", "request_hash"]
    assert run.attempts().select(same).equals(whole.attempts().select(same))
    assert [len(exchanges_of(one)) for one in run.attempts()["exchanges"]] == [2, 2, 2]
    again = Talker()
    proctor.run(talk(), again, out=tmp_path / "parts")
    assert again.asked == []


def test_a_failed_turn_fails_the_attempt_and_is_asked_again(tmp_path):
    (run,) = proctor.run(talk(), Talker({"i1 turn 2"}), out=tmp_path)
    assert run.manifest.totals["states"]["failed"] == 1
    assert run.attempts()["reason"][1] == "turn 2: HTTP 500"
    model = Talker()
    (run,) = proctor.run(talk(), model, out=tmp_path)
    assert model.asked == [("i1", "turn 2"), ("i1", "turn 3")]
    assert run.manifest.totals["states"] == {"scored": 3, "unparsed": 0, "truncated": 0, "refused": 0, "failed": 0}


def test_another_answer_to_the_first_turn_makes_the_later_ones_be_asked_again(tmp_path):
    """What is kept of a turn counts only for the very words it was an answer to."""
    proctor.run(talk(1), Talker(), out=tmp_path)
    (folder,) = [one.folder for one in proctor.open_store(tmp_path).runs()]
    lines = (folder / "journal.jsonl").read_text().splitlines()
    first = msgspec.json.decode(lines[0])
    first["response"]["text"] = "other"
    (folder / "journal.jsonl").write_text("\n".join([msgspec.json.encode(first).decode(), *lines[1:]]) + "\n")
    (folder / "attempts.parquet").unlink()
    model = Talker()
    (run,) = proctor.run(talk(1), model, out=tmp_path)
    assert model.asked == [("i0", "turn 2"), ("i0", "turn 3")]
    assert exchanges_of(run.attempts()["exchanges"][0])[0].request.prompt.messages[1].content == "other"


def test_kept_turns_serve_another_run_of_the_store(tmp_path):
    proctor.run(talk(), Talker(), out=tmp_path)
    model = Talker()
    (run,) = proctor.run(talk(5), model, out=tmp_path)
    assert model.asked == [(f"i{k}", step) for step in ("", "turn 2", "turn 3") for k in (3, 4)]
    assert run.manifest.totals["attempts"] == 5


def test_rescoring_keeps_all_turns_and_asks_nothing(tmp_path):
    (run,) = proctor.run(talk(), Talker(), out=tmp_path)
    lenient = Suite("talk", [Weighted(talk(scoring={"metrics": [{"contains": {"need": "all"}}]}))])
    after = rescore(run, proctor.open_store(tmp_path), lenient)
    assert after.manifest.rescored_from == run.manifest.run
    assert after.attempts()["exchanges"].equals(run.attempts()["exchanges"])
    longer = Suite("talk", [Weighted(talk(turns=[*TURNS, "more"]))])
    with pytest.raises(UsageError, match="no answer to 3 of the 3 requests"):
        rescore(run, proctor.open_store(tmp_path), longer)


def test_earlier_turns_from_the_data(tmp_path):
    history = [{"role": "user", "content": "I am Ada."}, {"role": "assistant", "content": "Hello, Ada."}]
    rows = [{"id": "a", "past": history, "q": "Who am I?", "target": "x"}]
    task = proctor.Task(task="past", data=rows, prompt={"template": "{{ q }}", "history": "past"}, scoring="exact_match")
    shown = [(m.role, m.content) for m in task.request(task.items[0]).prompt.messages]
    assert shown == [("user", "I am Ada."), ("assistant", "Hello, Ada."), ("user", "Who am I?")]
    whole = [{"id": "a", "past": [*history, {"role": "user", "content": "Who?"}], "target": "x"}]
    task = proctor.Task(task="past", data=whole, prompt={"template": "", "history": "past"}, scoring="exact_match")
    assert [m.content for m in task.request(task.items[0]).prompt.messages] == ["I am Ada.", "Hello, Ada.", "Who?"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"turns": ["{{ wrod }}"]}, "prompt.turns.*'wrod' is not a column.*'word'"),
        ({"turns": "word"}, "prompt.turns: item 'i0': the column 'word' must hold a list of texts"),
        ({"turns": "nothing:at_all"}, "there is no module 'nothing'"),
        ({"turns": ["x"], "response": "perplexity", "scoring": "perplexity"}, "a conversation is of written answers"),
    ],
)
def test_turns_that_cannot_be(keys, message):
    with pytest.raises((TaskError, proctor.ProctorError), match=message):
        talk(**keys)


def test_a_history_that_is_none_is_said_with_its_item(tmp_path):
    rows = [{"id": "a", "past": "hello", "target": "x"}]
    task = proctor.Task(task="past", data=rows, prompt={"template": "?", "history": "past"}, scoring="exact_match")
    with pytest.raises(TaskError, match="item 'a': the column 'past' must hold a list of"):
        proctor.run(task, Talker(), out=tmp_path)


def test_a_function_that_fails_is_said_and_every_answer_kept(tmp_path):
    (tmp_path / "user2.py").write_text("def says(item, answers):\n    return 1 / 0\n")
    with pytest.raises(TaskError, match="item 'i0': user2:says failed: ZeroDivisionError"):
        proctor.run(talk(turns="user2:says", base=tmp_path), Talker(), out=tmp_path / "store")
    (stopped,) = proctor.open_store(tmp_path / "store").runs()
    assert len((Path(stopped.folder) / "journal.jsonl").read_text().splitlines()) == 3


def test_a_model_that_leaves_a_turn_out_is_an_error(tmp_path):
    class Forgetful(Talker):
        def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
            yield from ((ask, response) for ask, response in super().answer(asks) if ask.step != "turn 3")

    with pytest.raises(ModelError, match="gave no answer to item 'i0'"):
        proctor.run(talk(), Forgetful(), out=tmp_path)


def test_predictions_answer_turns_by_their_name(tmp_path):
    rows = [{"item": "i0", "answer": "one"}, *({"item": "i0", "step": f"turn {n}", "answer": "5:2"} for n in (2, 3))]
    (tmp_path / "said.json").write_bytes(msgspec.json.encode(rows))
    (run,) = proctor.run(talk(1), f"predictions:{tmp_path / 'said.json'}", out=tmp_path / "store")
    assert run.attempts()["score"].to_list() == [1.0]
    (tmp_path / "less.json").write_bytes(msgspec.json.encode(rows[:2]))
    (run,) = proctor.run(talk(1), f"predictions:{tmp_path / 'less.json'}", out=tmp_path / "store")
    assert run.attempts()["reason"].to_list() == ["turn 3: no prediction for item i0 of task talk, epoch 0, turn 3"]


@pytest.mark.model
def test_a_real_model_holds_a_conversation(tmp_path):
    """What it says in its second turn is what it says after the same conversation as one prompt."""
    keys = {"response": {"max_tokens": 16}, "scoring": "contains"}
    rows = [{"id": "a", "q": "My name is Ada.", "target": "Ada"}]
    prompt = {"template": "{{ q }}", "turns": ["What is my name?"]}
    (run,) = proctor.run(proctor.Task(task="real", data=rows, prompt=prompt, **keys), "smollm2", out=tmp_path)
    (second,) = exchanges_of(run.attempts()["exchanges"][0])
    assert second.response.output_tokens
    past = [{"role": "user", "content": rows[0]["q"]}, {"role": "assistant", "content": run.attempts()["text"][0]}]
    single = [{"id": "a", "past": past, "q": "What is my name?", "target": "Ada"}]
    (alone,) = proctor.run(
        proctor.Task(task="alone", data=single, prompt={"template": "{{ q }}", "history": "past"}, **keys), "smollm2", out=tmp_path
    )
    assert alone.attempts()["text"][0] == second.response.text
