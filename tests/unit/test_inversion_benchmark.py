"""The table of round trips, with a model of no skill."""

import pytest
from support.tiny_model import train_tiny_model

from benchmarks.inversion import load_faces, measure_inversion, print_inversion
from stages.common.editor import load_editor
from stages.common.errors import BadInputError
from stages.common.manifest import load_artifact


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


def test_every_way_is_measured_and_counted(model, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.inversion.WAYS", (("ddim", 40), ("exact", 4), ("dpmpp-2m", 4)))
    images = load_faces(load_artifact(model.root.parent / "faces"), "val", 2, 32)
    result = measure_inversion(load_editor(model.root), images)
    assert result["faces"] == 2
    evaluations = [tuple(row["evaluations"].values()) for row in result["ways"]]
    assert evaluations == [(40, 40), (20, 4), (4, 4)]
    assert all(row["psnr_db"]["least"] <= row["psnr_db"]["median"] for row in result["ways"])
    assert result["ways"][1]["latent_error"] < result["ways"][0]["latent_error"]
    print_inversion(result)
    assert "| exact " in capsys.readouterr().out


def test_faces_of_another_size_are_refused(model):
    with pytest.raises(BadInputError, match="64 pixels"):
        load_faces(load_artifact(model.root.parent / "faces"), "val", 2, 64)
