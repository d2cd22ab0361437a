"""The loop that all models share, with a model that only counts."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stages.common.errors import ConfigError, Interrupted, ResumeConflictError
from stages.common.stage import RunContext
from stages.common.tensors import to_model_range
from stages.common.training import loop as loop_module
from stages.common.training.checkpoints import Checkpoints
from stages.common.training.config import LoopConfig, learning_rate_at
from stages.common.training.stepper import Stepper


class Counter:
    """Adds up what it is given; its state is one number."""

    def __init__(self, bad_step=None):
        self.total = torch.zeros((), dtype=torch.float64)
        self.steps, self.rates = [], []
        self.bad_step = bad_step

    def train_step(self, step, learning_rate, random):
        self.steps.append(step)
        self.rates.append(learning_rate)
        self.total += torch.rand((), generator=random, dtype=torch.float64)
        return {"loss": math.nan if step == self.bad_step else 1.0, "other": 0.0}

    def validate(self):
        return {"val": self.total.item()}

    def score(self, validation):
        return abs(validation["val"] - 1.5)

    def pictures(self):
        return {"total": np.full((4, 4, 3), 255, dtype=np.uint8)}

    def samples(self, step):
        return f"a{step}, b{step}"

    def state_dict(self):
        return {"total": self.total}

    def load_state_dict(self, state):
        self.total = state["total"].clone()


def loop(**changes):
    return LoopConfig(**{"steps": 7, "batch_size": 2, "learning_rate": 1.0, "validate_every": 3} | changes)


def fit(trainee, config, context):
    """The rows of the history."""
    loop_module.fit(trainee, config, Stepper(config, context), context, "toy")
    return json.loads((context.out / "history.json").read_text())


@pytest.fixture
def context(tmp_path):
    return RunContext(tmp_path, seed=5)


def stop_after(steps):
    left = iter([False] * (steps - 1))
    return lambda: next(left, True)


def test_every_step_runs_once_and_the_last_is_validated(context):
    counter = Counter()
    history = fit(counter, loop(), context)
    assert counter.steps == list(range(7))
    assert [row["step"] for row in history] == [3, 6, 7]
    assert history[-1]["val"] == counter.total.item()


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_interrupted_and_continued_it_is_the_same_run(context, tmp_path, steps):
    whole = fit(Counter(), loop(), context)
    (tmp_path / "other").mkdir()
    other = replace(context, out=tmp_path / "other")
    with pytest.raises(Interrupted, match=f"after step {steps} of 7.*--resume") as stopped:
        fit(Counter(), loop(checkpoint_every=100), replace(other, should_stop=stop_after(steps)))
    assert stopped.value.exit_code == 130
    counter = Counter()
    assert fit(counter, loop(checkpoint_every=100), other) == whole
    assert counter.steps == list(range(steps, 7))


def test_a_crash_loses_only_what_came_after_the_last_checkpoint(context):
    with pytest.raises(ConfigError, match=r"loss is not finite at step 6 \(samples a5, b5\)"):
        fit(Counter(bad_step=5), loop(checkpoint_every=2), context)
    counter = Counter()
    fit(counter, loop(checkpoint_every=2), context)
    assert counter.steps == [4, 5, 6]


def test_weights_that_are_not_finite_do_not_replace_good_ones(context):
    class Diverging(Counter):
        def train_step(self, step, learning_rate, random):
            shown = super().train_step(step, learning_rate, random)
            if step == 3:
                self.total += math.inf
            return shown

    with pytest.raises(ConfigError, match=r"weights are not finite after step 4.*learning_rate"):
        fit(Diverging(), loop(checkpoint_every=2), context)
    counter = Counter()
    fit(counter, loop(checkpoint_every=2), context)
    assert counter.steps == [2, 3, 4, 5, 6]


def test_a_stop_at_the_last_step_is_the_end(context):
    assert fit(Counter(), loop(), replace(context, should_stop=stop_after(7)))[-1]["step"] == 7


def test_a_finished_run_is_not_trained_again(context):
    history = fit(Counter(), loop(), context)
    counter = Counter()
    assert fit(counter, loop(), context) == history
    assert counter.steps == []


def test_the_seed_decides_the_random_stream(context, tmp_path):
    (tmp_path / "other").mkdir()
    first = fit(Counter(), loop(), context)
    assert fit(Counter(), loop(), replace(context, out=tmp_path / "other", seed=6)) != first


def test_a_checkpoint_of_something_else_is_a_conflict(context):
    Checkpoints(context.work / "checkpoints", 2).save(3, {"step": 3})
    with pytest.raises(ResumeConflictError, match="damaged"):
        fit(Counter(), loop(), context)


def test_the_best_weights_are_kept_when_they_are_asked_for(context):
    counter = Counter()
    config = loop(select="best", steps=9)
    row = loop_module.fit(counter, config, Stepper(config, context), context, "toy")
    history = json.loads((context.out / "history.json").read_text())
    assert row == min(history, key=counter.score) != history[-1]
    assert counter.total.item() == row["val"]


def test_curves_and_pictures_are_logged_beside_the_result(context):
    fit(Counter(), loop(steps=20, validate_every=10), replace(context, tracker="tensorboard"))
    events = EventAccumulator(str(context.out / "logs")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(10, 1.0), (20, 1.0)]
    assert [e.step for e in events.Scalars("validation/val")] == [10, 20]
    assert [e.step for e in events.Images("total")] == [10, 20]
    assert sorted(path.name for path in context.out.glob("logs/*.png")) == ["total-0000010.png", "total-0000020.png"]


def test_the_learning_rate_warms_up_and_decays():
    config = loop(steps=100, warmup_steps=10, decay=True, learning_rate=2.0)
    rates = [learning_rate_at(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.2, rel=1e-3)
    assert max(rates) == rates[9] == pytest.approx(2.0 * 0.5 * (1 + math.cos(math.pi * 0.09)))
    assert rates[50] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert {learning_rate_at(step, loop()) for step in range(7)} == {1.0}


def test_pictures_become_minus_one_to_one():
    pictures = torch.tensor([[[[0, 127, 255], [255, 0, 0]]]], dtype=torch.uint8).numpy()
    x = to_model_range(pictures)
    assert x.shape == (1, 3, 1, 2)
    assert x.dtype is torch.float32
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([-1.0, 127 / 127.5 - 1, 1.0]))
