"""Training that is stopped and continued ends with the same bits as training that was left alone."""

import json
import random

import pytest

from stages.common.errors import Interrupted, ResumeConflictError
from stages.common.manifest import find_problems


def stop_after(steps):
    left = iter([False] * (steps - 1))
    return lambda: next(left, True)


def test_stopped_anywhere_and_resumed_it_is_the_same_artifact(training, tmp_path):
    steps = training.reference.manifest.config["loop"]["steps"]
    stop = random.Random(training.spec.name).randint(1, steps - 1)
    with pytest.raises(Interrupted, match=f"after step {stop} of {steps}"):
        training.run(tmp_path / "out", should_stop=stop_after(stop))
    assert not (tmp_path / "out").exists()
    resumed = training.run(tmp_path / "out")
    assert resumed.manifest.artifact_id == training.reference.manifest.artifact_id
    assert find_problems(resumed) == []


def test_stopped_after_every_step_it_is_the_same_artifact(training, tmp_path):
    steps = training.reference.manifest.config["loop"]["steps"]
    for _ in range(steps - 1):
        with pytest.raises(Interrupted):
            training.run(tmp_path / "out", should_stop=lambda: True)
    resumed = training.run(tmp_path / "out", should_stop=lambda: True)
    assert resumed.manifest.artifact_id == training.reference.manifest.artifact_id
    history = json.loads(resumed.path("history.json").read_text())
    assert [row["step"] for row in history] == sorted({row["step"] for row in history})
    assert history[-1]["step"] == steps


def test_another_seed_is_another_model(training, tmp_path):
    other = training.run(tmp_path / "out", seed=1)
    assert other.manifest.artifact_id != training.reference.manifest.artifact_id


def test_what_only_a_resumed_run_needs_is_gone(training):
    assert not (training.reference.root / ".run").exists()


def test_without_resume_an_unfinished_run_is_refused(emotion_training, tmp_path):
    with pytest.raises(Interrupted):
        emotion_training.run(tmp_path / "out", should_stop=lambda: True)
    with pytest.raises(ResumeConflictError, match="unfinished"):
        emotion_training.run(tmp_path / "out", resume=False)


def checkpoints_of(out):
    return sorted((out.with_name("out.partial") / ".run" / "work" / "checkpoints").glob("step-*.pt"))


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before(emotion_training, tmp_path):
    with pytest.raises(Interrupted):
        emotion_training.run(tmp_path / "out", should_stop=stop_after(3))
    _, newer = checkpoints_of(tmp_path / "out")
    newer.write_bytes(newer.read_bytes()[:-1000])
    again = emotion_training.run(tmp_path / "out")
    assert again.manifest.artifact_id == emotion_training.reference.manifest.artifact_id


def test_when_all_checkpoints_are_damaged_deleting_them_cures_it(emotion_training, tmp_path):
    with pytest.raises(Interrupted):
        emotion_training.run(tmp_path / "out", should_stop=stop_after(3))
    for checkpoint in checkpoints_of(tmp_path / "out"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(ResumeConflictError, match=r"step-.*\.pt is damaged.*Delete this file"):
        emotion_training.run(tmp_path / "out")
    for checkpoint in checkpoints_of(tmp_path / "out"):
        checkpoint.unlink()
    again = emotion_training.run(tmp_path / "out")
    assert again.manifest.artifact_id == emotion_training.reference.manifest.artifact_id


def test_the_number_of_reading_threads_may_change_on_the_way(training, tmp_path):
    with pytest.raises(Interrupted):
        training.run(tmp_path / "out", should_stop=stop_after(1), workers=1)
    resumed = training.run(tmp_path / "out", workers=3)
    assert resumed.manifest.artifact_id == training.reference.manifest.artifact_id


def test_damaged_latents_are_a_conflict(training_of, tmp_path):
    training = training_of("ldm")
    with pytest.raises(Interrupted):
        training.run(tmp_path / "out", should_stop=stop_after(1))
    latents = tmp_path / "out.partial" / ".run" / "work" / "latents-train.pt"
    latents.write_bytes(latents.read_bytes()[:100])
    with pytest.raises(ResumeConflictError, match=r"latents-train\.pt is damaged"):
        training.run(tmp_path / "out")
