"""Generated faces against real ones, with a random SqueezeNet as the feature extractor."""

import shutil

import numpy as np
import pytest
import torch

from stages.common.config import StageConfig
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.folders import read_pictures
from stages.common.manifest import ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, StageSpec
from stages.common.table import read_table
from stages.evaluate import fidelity
from stages.evaluate.config import GenerationConfig
from stages.evaluate.fidelity import PictureSet, compare_sets, least_count
from stages.evaluate.generation import GENERATION, read_generated
from stages.evaluate.table import read_rows

pytest.importorskip("torch_fidelity")

METRICS = ("fd_squeezenet", "kd_squeezenet", "precision_squeezenet", "recall_squeezenet")


@pytest.fixture
def generated(tmp_path, write_pictures):
    names = [f"{n}.png" for n in range(6)]
    for seed, emotion in enumerate(("happy", "neutral")):
        write_pictures(tmp_path / "generated" / emotion, names, seed=seed)
    return tmp_path / "generated"


def pictures(seed: int, count: int = 6, size_px: int = 32) -> PictureSet:
    stack = np.random.default_rng(seed).integers(0, 256, (count, size_px, size_px, 3), np.uint8)
    return PictureSet(f"set {seed}", count, stack.__getitem__)


@pytest.mark.usefixtures("squeezenet")
def test_there_is_a_row_for_each_emotion_their_mean_and_one_for_all(generated, shards, tmp_path):
    inputs = {"generated": read_pictures(generated), "shards": shards}
    config = GenerationConfig(metrics=METRICS)
    artifact = execute(GENERATION, config, inputs, tmp_path / "out")
    neutral, happy, mean, together = read_table(artifact).rows
    assert [row.labels["emotion"] for row in (neutral, happy, mean, together)] == [
        "neutral", "happy", "mean", "all together"
    ]  # fmt: skip
    assert mean.values["fd_squeezenet"].mean == pytest.approx(
        (neutral.values["fd_squeezenet"].mean + happy.values["fd_squeezenet"].mean) / 2
    )
    assert together.samples == 12
    rows = read_rows(artifact.path("samples.parquet"))
    assert len([row for row in rows if row["side"] == "generated"]) == 12
    assert len([row for row in rows if row["side"] == "real"]) == 8 + 6
    again = execute(GENERATION, config, inputs, tmp_path / "again")
    assert again.manifest.artifact_id == artifact.manifest.artifact_id


@pytest.mark.usefixtures("squeezenet")
def test_features_are_computed_once_for_the_same_pictures(generated, shards, tmp_path, monkeypatch):
    inputs = {"generated": read_pictures(generated), "shards": shards}
    execute(GENERATION, GenerationConfig(metrics=METRICS[:1]), inputs, tmp_path / "first")
    monkeypatch.setattr(fidelity.SqueezeNetFeatures, "forward", lambda *_: pytest.fail("computed again"))
    execute(GENERATION, GenerationConfig(metrics=METRICS[:2]), inputs, tmp_path / "second")


@pytest.mark.usefixtures("squeezenet")
def test_the_batch_size_changes_nothing():
    one, other = (
        compare_sets(pictures(0), pictures(1), METRICS, seed=0, batch_size=batch_size) for batch_size in (2, 6)
    )
    assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.usefixtures("squeezenet")
def test_equal_sets_are_at_no_distance():
    found = compare_sets(pictures(0), pictures(0), METRICS, seed=0)
    assert found["fd_squeezenet"] == pytest.approx(0, abs=0.05)
    assert compare_sets(pictures(0), pictures(1), METRICS[:1], seed=0)["fd_squeezenet"] > 1
    assert (found["precision_squeezenet"], found["recall_squeezenet"]) == (1, 1)


@pytest.mark.usefixtures("squeezenet")
def test_sets_that_cannot_be_compared_are_refused(monkeypatch):
    assert (least_count(METRICS), least_count(METRICS[:1])) == (4, 2)
    with pytest.raises(BadInputError, match=r"set 1 has 1 picture\(s\); 2 or more"):
        compare_sets(pictures(0), pictures(1, count=1), METRICS[:1], seed=0)
    with pytest.raises(BadInputError, match="set 0 is 32 x 32, set 1 is 64 x 64"):
        compare_sets(pictures(0), pictures(1, size_px=64), METRICS[:1], seed=0)
    mixed = PictureSet("mixed", 4, lambda n: np.zeros((32 + n // 3, 32, 3), np.uint8))
    with pytest.raises(BadInputError, match="the pictures of mixed differ in size"):
        compare_sets(mixed, pictures(0), METRICS[:1], seed=0)
    monkeypatch.setattr(
        fidelity.SqueezeNetFeatures, "forward", lambda _, x: [torch.full((len(x), 512, 1, 1), float("nan"))]
    )
    with pytest.raises(BadInputError, match="not numbers"):
        compare_sets(pictures(0), pictures(1), METRICS[:1], seed=0)


@pytest.mark.usefixtures("squeezenet")
def test_samples_that_facediff_made_stay_in_the_lineage(generated, shards, tmp_path):
    def copy(_config, _inputs, context):
        shutil.copytree(generated, context.out, dirs_exist_ok=True)
        return ArtifactDraft(Counts(total=12, ok=12))

    spec = StageSpec("synthesize", 1, StageConfig, {}, ArtifactKind.SAMPLES, copy)
    samples = execute(spec, StageConfig(), {}, tmp_path / "samples")
    inputs = {**read_generated(samples.root), "shards": shards}
    config = GenerationConfig(metrics=METRICS[:1], together_limit=3)
    artifact = execute(GENERATION, config, inputs, tmp_path / "out")
    assert {reference.id for reference in artifact.manifest.inputs} >= {samples.manifest.artifact_id}
    plain = execute(
        GENERATION,
        config.model_copy(update={"together_limit": None}),
        {**read_generated(generated), "shards": shards},
        tmp_path / "plain",
    )
    few, all_faces = (read_table(a).rows for a in (artifact, plain))
    assert few[:3] == all_faces[:3]
    assert few[3] != all_faces[3]


def test_folders_and_faces_must_match(generated, shards, tmp_path, write_pictures):
    inputs = {"generated": read_pictures(generated), "shards": shards}
    with pytest.raises(BadInputError, match="has no folder for sad"):
        execute(GENERATION, GenerationConfig(emotions=("sad",)), inputs, tmp_path / "out")
    with pytest.raises(BadInputError, match="the split 'test' has no neutral face"):
        execute(GENERATION, GenerationConfig(split="test"), inputs, tmp_path / "out2")
    flat = {"generated": read_pictures(write_pictures(tmp_path / "flat", ["a.png"])), "shards": shards}
    with pytest.raises(BadInputError, match="has no folders"):
        execute(GENERATION, GenerationConfig(), flat, tmp_path / "out3")
