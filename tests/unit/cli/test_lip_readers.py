"""Lip readers on the command line: importing one, naming one, and what is refused."""

import pytest
import torch
from support.talking import make_clips
from support.tiny_talker import write_tiny_talker
from support.vsr import UNITS, make_twin


@pytest.fixture
def published(tmp_path):
    """A checkpoint and its units, as published."""
    torch.save(make_twin().state_dict(), tmp_path / "reader.pth")
    (tmp_path / "units.txt").write_text("".join(f"{unit} {n}\n" for n, unit in enumerate(UNITS, 1)), "utf-8")
    return tmp_path


@pytest.fixture
def convert(facediff, published):
    def run(*options, checkpoint="reader.pth", units="units.txt"):
        return facediff(
            *("models", "import", "vsr", published / checkpoint, "--units", published / units),
            *("--out", published / "reader", *options),
        )

    return run


@pytest.fixture(scope="module")
def tiny_clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("lips") / "clips").root


@pytest.fixture(scope="module")
def tiny_talker(tmp_path_factory):
    return write_tiny_talker(tmp_path_factory.mktemp("lips") / "talker")


def test_an_import_is_a_model_of_the_store(facediff, convert, published):
    assert convert("--dry-run").exit_code == 0
    assert not (published / "reader").exists()
    assert convert().exit_code == 0
    assert facediff("models", "verify", published / "reader").exit_code == 0
    assert convert("--json").payload["up_to_date"]


def test_a_missing_file_is_bad_input(convert):
    for wrong in ({"checkpoint": "none.pth"}, {"units": "none.txt"}):
        result = convert(**wrong)
        assert result.exit_code == 3
        assert "none" in result.stderr


@pytest.mark.parametrize(("option", "value"), [("--model", "facediff-mini"), ("--reader", "facediff-mini")])
def test_tuning_names_a_model_of_another_kind(facediff, tmp_path, option, value, tiny_clips, tiny_talker):
    given = {"--model": str(tiny_talker), "--reader": "facediff-mini", option: value}
    options = [text for pair in given.items() for text in pair]
    result = facediff("finetune", "lipread", "--data", tiny_clips, *options, "--out", tmp_path / "out")
    assert result.exit_code == 6
    assert "facediff-mini holds model, which cannot" in result.stderr


def test_training_is_planned_from_the_preset(facediff, tmp_path, tiny_clips):
    plan = facediff("train", "lipreader", "--data", tiny_clips, "--out", tmp_path / "out", "--dry-run", "--json")
    assert plan.exit_code == 0
    assert plan.payload["config"]["network"]["shrink"] == 2
    assert not (tmp_path / "out").exists()
