"""Old checkpoints are read, and what they ask to run is not run."""

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch

from stages.common.errors import BadInputError
from stages.convert.pickles import read_state_dict

WEIGHTS = {"a.weight": torch.arange(3.0)}


class Touch:
    """Pickled, this is a request to create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def make_class(monkeypatch, module, name, base=object):
    """A class that pickles by this name."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:count]), types.ModuleType(".".join(parts[:count])))
    made = type(name, (base,), {"__module__": module})
    monkeypatch.setattr(sys.modules[module], name, made, raising=False)
    return made


@pytest.fixture
def trainer_class(monkeypatch):
    """The class that pytorch-lightning 1.4 wrote into its checkpoints as a key."""
    return make_class(monkeypatch, "pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_of_an_old_trainer_are_read(tmp_path, trainer_class, zipped):
    path = tmp_path / "old.ckpt"
    content = {"state_dict": WEIGHTS, "callbacks": {trainer_class: {"best_model_score": torch.tensor(0.1)}}}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state_dict(path)["a.weight"], WEIGHTS["a.weight"])


def test_hyperparameters_of_an_old_trainer_are_passed_over(tmp_path, monkeypatch):
    hyperparameters = make_class(monkeypatch, "pytorch_lightning.utilities.parsing", "AttributeDict", dict)
    content = {"state_dict": WEIGHTS, "hyper_parameters": hyperparameters(lr=1e-4)}
    torch.save(content, tmp_path / "old.ckpt")
    assert list(read_state_dict(tmp_path / "old.ckpt")) == ["a.weight"]


def test_bare_weights_are_read(tmp_path):
    torch.save(WEIGHTS, tmp_path / "bare.pt")
    assert list(read_state_dict(tmp_path / "bare.pt")) == ["a.weight"]


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_a_pickle_that_asks_for_code_is_refused_and_not_run(tmp_path, form):
    path, victim = tmp_path / "evil.ckpt", tmp_path / "made-by-the-pickle"
    content = {"state_dict": WEIGHTS, "extra": Touch(victim)}
    if form == "plain":
        path.write_bytes(pickle.dumps({"extra": Touch(victim)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(BadInputError, match=r"is refused: it asks for posix\.mkdir") as refused:
        read_state_dict(path)
    assert "\n" not in str(refused.value)
    assert not victim.exists()


def test_trainer_classes_stand_for_nothing(tmp_path, trainer_class):
    """Even a pickle that calls one of the names that are let through gets an inert object."""

    class Call:
        def __reduce__(self):
            return (trainer_class, ("os.system", "anything"), {"state": 1})

    torch.save({"state_dict": WEIGHTS, "callbacks": Call()}, tmp_path / "call.ckpt")
    assert list(read_state_dict(tmp_path / "call.ckpt")) == ["a.weight"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, share, zipped):
    path = tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BadInputError, match="damaged") as refused:
        read_state_dict(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"just text", b"\x80\x02}q\x00.", b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(BadInputError):
        read_state_dict(path)


def test_what_holds_no_weights_is_refused(tmp_path):
    for number, content in enumerate([[torch.zeros(1)], {"state_dict": {"epoch": 3}}, torch.zeros(2)]):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        with pytest.raises(BadInputError, match="holds no weights by name"):
            read_state_dict(path)


def test_an_absent_file_is_named():
    with pytest.raises(BadInputError, match=r"cannot read nowhere\.ckpt: No such file"):
        read_state_dict(Path("nowhere.ckpt"))
