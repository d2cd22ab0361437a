"""Checkpoints: the last few and the best, never half of one."""

import json

import pytest
import torch

from stages.common.errors import ConfigError, ResumeConflictError
from stages.common.training.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", keep=2)


def state(value):
    return {"weights": torch.full((3,), float(value))}


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_only_the_newest_stay(checkpoints):
    for step in (1, 9, 10):
        checkpoints.save(step, state(step))
    assert names(checkpoints) == [f"step-{s:09d}.{suffix}" for s in (9, 10) for suffix in ("json", "pt")]
    loaded, damaged = checkpoints.load()
    assert loaded["weights"][0] == 10
    assert damaged == []


def test_none_at_all_is_no_error(checkpoints):
    assert checkpoints.load() == (None, [])


def test_a_state_without_its_description_was_never_finished(checkpoints):
    checkpoints.save(1, state(1))
    checkpoints.save(2, state(2))
    (checkpoints.folder / "step-000000002.json").unlink()
    loaded, damaged = checkpoints.load()
    assert loaded["weights"][0] == 1
    assert damaged == []


def test_a_damaged_state_is_named_and_passed_over(checkpoints):
    checkpoints.save(1, state(1))
    checkpoints.save(2, state(2))
    path = checkpoints.folder / "step-000000002.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    loaded, damaged = checkpoints.load()
    assert loaded["weights"][0] == 1
    assert damaged == ["step-000000002"]


def test_nothing_in_a_checkpoint_is_executed(checkpoints, tmp_path):
    class Malicious:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    checkpoints.save(1, {"weights": torch.zeros(1), "object": Malicious()})
    with pytest.raises(ResumeConflictError, match="damaged"):
        checkpoints.load()
    assert not (tmp_path / "executed").exists()


def test_the_best_is_the_one_with_the_lowest_score(checkpoints):
    for step, score in ((1, 0.5), (2, 0.3), (3, 0.4)):
        checkpoints.save_best(step, score, state(step))
    assert checkpoints.load_best()["weights"][0] == 2
    assert json.loads((checkpoints.folder / "best.json").read_text())["score"] == 0.3
    (checkpoints.folder / "best.pt").write_bytes(b"")
    with pytest.raises(ResumeConflictError, match=r"best\.pt is damaged.*select=last"):
        checkpoints.load_best()


def test_a_state_that_is_not_finite_leaves_all_as_it_was(checkpoints):
    checkpoints.save(1, state(1))
    before = names(checkpoints)
    with pytest.raises(ConfigError, match="not finite after step 2"):
        checkpoints.save(2, {"nested": [{"weights": torch.tensor([1.0, float("inf")])}]})
    assert names(checkpoints) == before


def test_a_full_disk_leaves_the_last_one(checkpoints, monkeypatch):
    checkpoints.save(1, state(1))

    def full(_state, stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(2, state(2))
    assert checkpoints.load()[0]["weights"][0] == 1
