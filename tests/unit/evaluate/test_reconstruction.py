"""The evaluation of a first stage."""

import numpy as np
import pytest

from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.manifest import load_artifact
from stages.common.table import read_table
from stages.evaluate import reconstruction
from stages.evaluate.config import ReconstructionConfig
from stages.evaluate.reconstruction import RECONSTRUCTION
from stages.evaluate.table import read_rows

CONFIG = ReconstructionConfig(split="train", metrics=("l1", "psnr", "ssim"))


@pytest.fixture
def first(tiny, shards, tmp_path):
    return execute(RECONSTRUCTION, CONFIG, {"model": tiny, "shards": shards}, tmp_path / "first")


def test_every_face_has_a_row_and_the_table_their_mean(first):
    rows = read_rows(first.path("samples.parquet"))
    (row,) = read_table(first).rows
    assert len({r["sample_key"] for r in rows}) == row.samples == 16
    assert row.values["l1"].mean == pytest.approx(np.mean([r["l1"] for r in rows]))
    assert 0 < row.values["l1"].mean < 2
    assert 0 < row.values["psnr"].mean < 60


def test_the_batch_size_changes_nothing(first, tiny, shards, tmp_path, monkeypatch):
    monkeypatch.setattr(reconstruction, "BATCH", 3)
    other = execute(RECONSTRUCTION, CONFIG, {"model": tiny, "shards": shards}, tmp_path / "other")
    for mine, theirs in zip(*(read_rows(a.path("samples.parquet")) for a in (first, other)), strict=True):
        assert mine["sample_key"] == theirs["sample_key"]
        assert [mine[k] for k in CONFIG.metrics] == pytest.approx([theirs[k] for k in CONFIG.metrics], rel=1e-3)


def test_faces_and_a_run_of_train_vqgan_serve_too(first, tiny, tmp_path):
    folder = tiny.root.parent
    inputs = {"first_stage": load_artifact(folder / "vqgan"), "faces": load_artifact(folder / "faces")}
    other = execute(RECONSTRUCTION, CONFIG, inputs, tmp_path / "other")
    mine, theirs = (read_table(a).rows[0].values["psnr"].mean for a in (first, other))
    assert mine == pytest.approx(theirs, abs=0.5), "the bundled weights are in half precision"


def test_a_distance_between_sets_is_taken_from_pictures_on_the_disk(squeezenet, tiny, shards, tmp_path):
    pytest.importorskip("torch_fidelity")
    config = ReconstructionConfig(split="train", limit=6, metrics=("rfd_squeezenet",))
    artifact = execute(RECONSTRUCTION, config, {"model": tiny, "shards": shards}, tmp_path / "out")
    (row,) = read_table(artifact).rows
    assert row.samples == 6
    assert row.values["rfd_squeezenet"].mean > 0
    assert sorted(o.path for o in artifact.manifest.outputs) == ["samples.parquet", "table.json"]


def test_an_empty_split_is_a_line(tiny, shards, tmp_path):
    with pytest.raises(BadInputError, match="no samples in the split 'holiday'"):
        execute(
            RECONSTRUCTION, ReconstructionConfig(split="holiday"), {"model": tiny, "shards": shards}, tmp_path / "out"
        )
