"""The real model through whole runs: twice the same, and the same after an interruption."""

import numpy as np
import pytest

import proctor
from proctor.errors import RunStopped
from proctor.models.base import Model

SAME = ["task", "item", "epoch", "state", "score", "answer", "text", "finish", "input_tokens", "request_hash"]


class Interrupted(Model):
    """A model that is interrupted after some answers."""

    def __init__(self, model: Model, after: int) -> None:
        self.model = model
        self.after = after
        self.uri, self.fingerprint, self.kinds = model.uri, model.fingerprint, model.kinds

    def answer(self, asks):
        for count, answer in enumerate(self.model.answer(asks)):
            if count == self.after:
                raise KeyboardInterrupt
            yield answer


def loglikelihoods(run: proctor.Run) -> np.ndarray:
    return np.array([value for row in run.attempts()["loglikelihoods"].drop_nulls() for prompt in row for value in prompt])


@pytest.mark.model
def test_smoke_twice_and_after_an_interruption(smollm2, tmp_path):
    once, again = (proctor.run("smoke", smollm2, out=tmp_path / name)[0] for name in ("once", "again"))
    assert once.manifest.tasks == [_timeless(task, like) for task, like in zip(again.manifest.tasks, once.manifest.tasks, strict=True)]
    assert loglikelihoods(once).tolist() == loglikelihoods(again).tolist()
    for after in (3, 9):
        with pytest.raises(RunStopped):
            proctor.run("smoke", Interrupted(smollm2, after), out=tmp_path / str(after))
        (run,) = proctor.run("smoke", smollm2, out=tmp_path / str(after))
        assert run.attempts().select(SAME).equals(once.attempts().select(SAME))
        # What is computed together differs after an interruption, and with it the rounding of float32.
        np.testing.assert_allclose(loglikelihoods(run), loglikelihoods(once), atol=1e-4)


def _timeless(task, like):
    from msgspec.structs import replace

    return replace(task, seconds=like.seconds)
