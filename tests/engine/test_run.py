"""Plan, ask, journal, score, Parquet: with models written here, so that every turn can be forced."""

from collections.abc import Iterable, Iterator

import pytest
from polars.testing import assert_frame_equal

import proctor
from proctor.engine.kept import attempts_of, kept_answers
from proctor.engine.observer import Observer
from proctor.engine.stopping import FAILED_IN_A_ROW
from proctor.errors import ModelError, RunStopped, UsageError
from proctor.models.base import Ask, Model
from proctor.results.columns import TIME_COLUMNS
from proctor.tasks.suite import Weighted
from proctor.types import Response


class Scripted(Model):
    """Answers with `answers[item]`, else with the question's last word; counts what it is asked."""

    uri = "python:scripted"
    kinds = frozenset({"generate"})

    def __init__(self, answers: dict[str, Response | BaseException] | None = None, fingerprint: str = "one") -> None:
        self.answers = answers or {}
        self.fingerprint = fingerprint
        self.asked: list[str] = []

    def answer(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Response]]:
        for ask in asks:
            self.asked.append(ask.item.id)
            said = self.answers.get(ask.item.id)
            if isinstance(said, BaseException):
                raise said
            yield ask, said or Response(text=ask.request.prompt.messages[-1].content.split()[-1])


def echo_task(n: int = 6, **keys) -> proctor.Task:
    rows = [{"id": f"i{k}", "word": f"w{k}", "target": f"w{k}"} for k in range(n)]
    return proctor.Task(task="echo", data=rows, prompt="say {{ word }}", scoring=keys.pop("scoring", "exact_match"), **keys)


def test_a_run_is_complete_and_found_again(tmp_path):
    model = Scripted({"i0": Response(text="no")})
    (run,) = proctor.run(echo_task(), model, out=tmp_path)
    result = run.manifest.tasks[0]
    assert run.manifest.state == "complete"
    assert result.main.value == pytest.approx(5 / 6)
    assert result.states == {"scored": 6, "unparsed": 0, "truncated": 0, "refused": 0, "failed": 0}
    assert run.attempts()["score"].to_list() == [0, 1, 1, 1, 1, 1]
    assert len(model.asked) == 6
    (again,) = proctor.run(echo_task(), model, out=tmp_path)
    assert len(model.asked) == 6
    assert again.manifest == run.manifest


def test_an_interrupted_run_continues_without_asking_twice(tmp_path):
    undisturbed = proctor.run(echo_task(), Scripted(), out=tmp_path / "whole")[0]
    with pytest.raises(RunStopped, match="interrupted after 3 of 6"):
        proctor.run(echo_task(), Scripted({"i3": KeyboardInterrupt()}), out=tmp_path / "parts")
    (stopped,) = proctor.open_store(tmp_path / "parts").runs()
    assert stopped.manifest.state == "stopped"
    model = Scripted()
    (run,) = proctor.run(echo_task(), model, out=tmp_path / "parts")
    assert model.asked == ["i3", "i4", "i5"]
    assert_frame_equal(run.attempts().drop(TIME_COLUMNS), undisturbed.attempts().drop(TIME_COLUMNS))


def test_failed_attempts_count_as_failed_and_are_asked_again(tmp_path):
    failing = Scripted({"i2": Response(finish="error", error="HTTP 500 after 6 tries")})
    (run,) = proctor.run(echo_task(), failing, out=tmp_path)
    result = run.manifest.tasks[0]
    assert result.states["failed"] == 1
    assert (result.main.value, result.items) == (pytest.approx(5 / 6), 6)
    model = Scripted()
    (run,) = proctor.run(echo_task(), model, out=tmp_path)
    assert model.asked == ["i2"]
    assert run.manifest.tasks[0].main.value == 1.0


def test_a_server_that_only_fails_is_not_asked_for_ever(tmp_path):
    broken = Scripted({f"i{k}": Response(finish="error", error="HTTP 500", retries=5) for k in range(100)})
    with pytest.raises(RunStopped, match="the last with: HTTP 500"):
        proctor.run(echo_task(100), broken, out=tmp_path)
    assert len(broken.asked) == FAILED_IN_A_ROW
    model = Scripted()
    proctor.run(echo_task(100), model, out=tmp_path)
    assert len(model.asked) == 100


def test_items_that_fail_by_themselves_never_stop_a_run(tmp_path):
    picky = Scripted({f"i{k}": Response(finish="error", error="HTTP 400: too long") for k in range(60)})
    (run,) = proctor.run(echo_task(100), picky, out=tmp_path)
    assert run.manifest.tasks[0].states["failed"] == 60
    assert run.manifest.tasks[0].main.value == 0.4


def test_stand_ins_are_asked_again_where_targets_changed(tmp_path):
    def task(targets: str) -> proctor.Task:
        return proctor.Task(task="t", data=[{"id": str(k), "target": t} for k, t in enumerate(targets)], prompt="?", scoring="exact_match")

    assert proctor.run(task("xxy"), "baseline:majority", out=tmp_path)[0].manifest.tasks[0].main.value == pytest.approx(2 / 3)
    assert proctor.run(task("xyy"), "baseline:majority", out=tmp_path)[0].manifest.tasks[0].main.value == pytest.approx(2 / 3)


def test_rescoring_keeps_to_the_item_where_two_ask_the_same(tmp_path):
    answers = iter(["a", "zzz"])
    data = [{"id": "1", "target": "a"}, {"id": "2", "target": "a"}]
    strict = proctor.Task(task="t", data=data, prompt="the same", scoring="exact_match")
    lenient = proctor.Task(task="t", data=data, prompt="the same", scoring="quasi_exact")
    (run,) = proctor.run(strict, lambda prompt: next(answers), out=tmp_path)
    after = proctor.rescore(run, proctor.open_store(tmp_path), proctor.Suite("t", [Weighted(lenient)]))
    assert run.manifest.tasks[0].main.value == after.manifest.tasks[0].main.value == 0.5
    assert after.attempts()["text"].to_list() == ["a", "zzz"]


def test_what_a_server_can_do_is_remembered_for_a_run_begun(tmp_path):
    class Moody(Scripted):
        """Gives log-likelihoods, or says it does not, or is down."""

        able: frozenset[str] | None = frozenset({"generate", "likelihood"})

        @property
        def kinds(self):
            if self.able is None:
                raise ModelError("no server answers")
            return self.able

        def answer(self, asks):
            for ask in asks:
                yield ask, Response(loglikelihoods=((-1.0, -2.0),), greedy=((True, False),), token_counts=(1, 1))

    task = proctor.Task(task="pick", data=[{"target": "a"}], item={"choices": ["a", "b"]}, prompt="?", response="choice")
    model = Moody()
    (run,) = proctor.run(task, model, out=tmp_path)
    for able in (frozenset({"generate"}), None):
        model.able = able
        assert proctor.run(task, model, out=tmp_path)[0].folder == run.folder
    with pytest.raises(ModelError, match="no server answers"):
        proctor.run(task, model, out=tmp_path / "elsewhere")


def test_an_answer_that_is_no_number_is_a_failure_not_a_score(tmp_path):
    class NaN(Scripted):
        kinds = frozenset({"generate", "likelihood"})

        def answer(self, asks):
            for ask in asks:
                yield ask, Response(loglikelihoods=((float("nan"), -1.0),), greedy=((True, False),), token_counts=(1, 1))

    task = proctor.Task(task="pick", data=[{"target": "a"}], item={"choices": ["a", "b"]}, prompt="?", response="choice")
    (run,) = proctor.run(task, NaN(), out=tmp_path)
    assert run.manifest.tasks[0].states["failed"] == 1
    assert "not a finite number" in run.attempts()["error"][0]


def test_text_that_is_not_unicode_is_kept(tmp_path):
    (run,) = proctor.run(echo_task(1), Scripted({"i0": Response(text="\ud800 w0")}), out=tmp_path)
    assert run.attempts()["text"][0] == "? w0"


def test_a_model_that_skips_an_item_is_found_out(tmp_path):
    class Lazy(Scripted):
        def answer(self, asks):
            yield next((ask, Response(text="w0")) for ask in asks)
            list(asks)

    with pytest.raises(ModelError, match="gave no answer to item 'i1'"):
        proctor.run(echo_task(), Lazy(), out=tmp_path)


def test_one_model_never_gets_anothers_answers(tmp_path):
    proctor.run(echo_task(), Scripted(), out=tmp_path)
    other = Scripted({f"i{k}": Response(text="other") for k in range(6)}, fingerprint="two")
    (run,) = proctor.run(echo_task(), other, out=tmp_path)
    assert len(other.asked) == 6
    assert run.manifest.tasks[0].main.value == 0.0


def test_answers_are_kept_across_protocols(tmp_path):
    proctor.run(echo_task(), Scripted(), out=tmp_path)
    model = Scripted()
    (run,) = proctor.run(echo_task(scoring="quasi_exact"), model, out=tmp_path)
    assert model.asked == []
    assert run.manifest.totals["reused"] == 6
    (more,) = proctor.run(echo_task(8), model, out=tmp_path)
    assert model.asked == ["i6", "i7"]
    assert more.attempts()["reused"].to_list() == [True] * 6 + [False] * 2


def test_answers_of_a_run_that_never_finished_are_kept_too(tmp_path):
    with pytest.raises(RunStopped):
        proctor.run(echo_task(), Scripted({"i3": KeyboardInterrupt()}), out=tmp_path)
    model = Scripted()
    proctor.run(echo_task(scoring="quasi_exact"), model, out=tmp_path)
    assert model.asked == ["i3", "i4", "i5"]


def test_epochs_are_asked_each_and_averaged_within_items(tmp_path):
    (run,) = proctor.run(echo_task(2, response={"kind": "generate", "temperature": 0.5}), Scripted(), epochs=3, out=tmp_path)
    frame = run.attempts()
    assert frame["epoch"].to_list() == [0, 1, 2, 0, 1, 2]
    assert frame["request_hash"].n_unique() == 6
    assert (run.manifest.tasks[0].attempts, run.manifest.tasks[0].items) == (6, 2)


def test_rescoring_writes_a_new_run_and_asks_nothing(tmp_path):
    shouting = Scripted({f"i{k}": Response(text=f"W{k}!") for k in range(6)})
    (run,) = proctor.run(echo_task(), shouting, out=tmp_path)
    before = (run.folder / "attempts.parquet").read_bytes()
    store = proctor.open_store(tmp_path)
    lenient = proctor.Suite("echo", [Weighted(echo_task(scoring="quasi_exact"))])
    after = proctor.rescore(run, store, lenient)
    assert (run.manifest.tasks[0].main.value, after.manifest.tasks[0].main.value) == (0.0, 1.0)
    assert after.manifest.rescored_from == run.manifest.run
    assert (run.folder / "attempts.parquet").read_bytes() == before
    with pytest.raises(UsageError, match="scored as before"):
        proctor.rescore(run, store, proctor.Suite("echo", [Weighted(echo_task())]))
    with pytest.raises(UsageError, match="no answer to 1 of the 7 requests"):
        proctor.rescore(run, store, proctor.Suite("echo", [Weighted(echo_task(7))]))
    with pytest.raises(UsageError, match="built in Python"):
        proctor.rescore(run, store)


def test_the_observer_is_told(tmp_path):
    class Told(Observer):
        def __init__(self) -> None:
            self.events: list[str] = []

        def begin(self, run, model, suite, total, kept):
            self.events.append(f"begin {total} {kept}")

        def answer(self, ask, response, reused):
            self.events.append("kept" if reused else "asked")

        def scoring(self):
            self.events.append("scoring")

        def end(self):
            self.events.append("end")

    told = Told()
    proctor.run(echo_task(2), Scripted(), out=tmp_path, observer=told)
    proctor.run(echo_task(3), Scripted(), out=tmp_path, observer=told)
    assert told.events == ["begin 2 0", "asked", "asked", "scoring", "end", "begin 3 0", "kept", "kept", "asked", "scoring", "end"]


def test_prompts_that_did_not_fit_are_counted_and_said(tmp_path):
    (run,) = proctor.run(echo_task(), Scripted({"i1": Response(text="w1", cut_tokens=40)}), out=tmp_path)
    assert run.manifest.tasks[0].cut_prompts == 1
    assert run.attempts()["cut_tokens"].to_list() == [None, 40, None, None, None, None]
    assert "prompts that did not fit the context and lost their beginning: 1 of echo" in proctor.leaderboard(run)


def test_an_earlier_run_never_stands_in_the_way_of_another_suite(tmp_path):
    proctor.run(echo_task(), Scripted(), out=tmp_path)  # a model that then gave no log-likelihoods

    class Able(Scripted):
        kinds = frozenset({"generate", "likelihood"})

        def answer(self, asks):
            for ask in asks:
                yield ask, Response(loglikelihoods=((-3.0,),), greedy=((False,),), token_counts=(2,))

    text = proctor.Task(task="text", data=[{"target": "some words"}], prompt="", response="perplexity")
    (run,) = proctor.run(text, Able(), out=tmp_path)
    assert run.manifest.state == "complete"


def test_a_run_written_before_there_were_newer_columns_is_still_read(tmp_path):
    """As by the first version, which knew nothing of streaming, reasons for retries and hedging."""
    (run,) = proctor.run(echo_task(), Scripted({}), out=tmp_path)
    now = attempts_of(run)
    run.attempts().drop("first_token", "retry_reasons", "hedged").write_parquet(run.attempts_path)
    assert attempts_of(run) == now
    hashes = [digest for digest, _ in now.values()]
    assert kept_answers(proctor.open_store(tmp_path), run.manifest.fingerprint, "", hashes) == dict(now.values())
