"""Copies of training pictures are found and called so."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from support.shards import make_shards

from stages.common.config import StageConfig
from stages.common.engine import execute
from stages.common.errors import BadInputError, MissingModelError
from stages.common.manifest import ArtifactKind, Counts
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, StageSpec
from stages.neighbors.config import NeighborsConfig
from stages.neighbors.features import directions, load_features, pixel_features
from stages.neighbors.run import NEIGHBORS, TABLE_NAME, memorisation


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("neighbors"))


def make_samples(folder: Path, pictures):
    """What ``synthesize`` leaves, of given pictures."""

    def run(_config, _inputs, context):
        rows = [{"path": f"{number}.png"} for number in range(len(pictures))]
        for row, picture in zip(rows, pictures, strict=True):
            Image.fromarray(picture).save(context.out / row["path"])
        pq.write_table(pa.Table.from_pylist(rows), context.out / "samples.parquet")
        return ArtifactDraft(Counts(total=len(rows), ok=len(rows)))

    return execute(StageSpec("synthesize", 1, StageConfig, {}, ArtifactKind.SAMPLES, run), StageConfig(), {}, folder)


def search(samples, shards, out, **fields):
    config = NeighborsConfig(**{"k": 4, "spaces": ("pixels",), **fields})
    return execute(NEIGHBORS, config, {"samples": samples, "data": shards}, out)


def test_a_copy_is_found_and_counted(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.neighbors.run._BLOCK", 3)
    train = ShardDataset(shards, "train")
    grey = np.full((32, 32, 3), 128, np.uint8)
    found = search(make_samples(tmp_path / "samples", [train[5], grey]), shards, tmp_path / "out")
    rows = pq.read_table(found.path(TABLE_NAME)).to_pylist()
    assert len(rows) == 8
    assert (rows[0]["path"], rows[0]["rank"], rows[0]["sample_key"]) == ("0.png", 1, train.keys[5])
    assert rows[0]["distance"] < 1e-3
    distances = [row["distance"] for row in rows[4:]]
    assert distances == sorted(distances)
    expected = sorted(np.sqrt(np.mean(((train[i] - 128.0) / 127.5) ** 2)) for i in range(len(train)))[:4]
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    metrics = found.manifest.metrics["pixels"]
    assert metrics["copies"] == 0.5
    assert metrics["real_copies"] == 0
    sheet = np.asarray(Image.open(found.path("pixels.png")))
    assert sheet.shape == (2 * 34 + 2, 5 * 34 + 2, 3)
    assert np.array_equal(sheet[2:34, 2:34], sheet[2:34, 36:68])


def test_query_blocks_do_not_matter(shards, tmp_path, monkeypatch):
    samples = make_samples(tmp_path / "samples", [np.full((32, 32, 3), 40 * i, np.uint8) for i in range(5)])
    whole = search(samples, shards, tmp_path / "whole")
    monkeypatch.setattr("stages.neighbors.run._QUERIES_MOST", 2)
    parts = search(samples, shards, tmp_path / "parts")
    one, other = (pq.read_table(artifact.path(TABLE_NAME)).to_pylist() for artifact in (whole, parts))
    assert [row["sample_key"] for row in one] == [row["sample_key"] for row in other]
    np.testing.assert_allclose([r["distance"] for r in one], [r["distance"] for r in other], atol=1e-5)


def test_the_statistic_by_hand():
    samples = np.array([[0.1, 1.0], [0.8, 1.0]], np.float32)
    real = np.array([[0.9, 1.0], [0.4, 1.0], [0.7, 1.0]], np.float32)
    found = memorisation(samples, real, 0.5)
    assert found["copies"] == 0.5
    assert found["real_copies"] == pytest.approx(1 / 3)
    assert found["ratio"] == pytest.approx(0.45)
    assert found["real_nearest"] == pytest.approx(0.7)


def test_perceptual_weights_that_are_not_here(shards, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    samples = make_samples(tmp_path / "samples", [np.zeros((32, 32, 3), np.uint8)])
    for choice in ("auto", "squeezenet", "vgg"):
        with pytest.raises(MissingModelError):
            search(samples, shards, tmp_path / choice, spaces=("perceptual",), perceptual=choice)


def test_perceptual_features_are_directions_of_the_deepest_map(monkeypatch):
    """Squared distances are means over positions of squared differences of unit vectors."""
    maps = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    a, b = directions(maps)
    unit = maps / maps.norm(dim=1, keepdim=True)
    torch.testing.assert_close((a - b).square().sum(), (unit[0] - unit[1]).square().sum(dim=0).mean())
    from torchvision.models import squeezenet1_1

    state = {k: v.detach() for k, v in squeezenet1_1(weights=None).features.state_dict().items()}
    monkeypatch.setattr("stages.neighbors.features.load_squeezenet_keras", lambda _path: state)
    name, features = load_features("perceptual", NeighborsConfig(perceptual="squeezenet"), "cpu")
    assert name == "squeezenet1_1-imagenet-fire9"
    points = features(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert points.shape == (2, 512 * 3 * 3)
    assert not torch.allclose(points[0], points[1])


def test_pixel_distances_are_root_mean_squares():
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    assert (pixel_features(a) - pixel_features(b)).norm().item() == pytest.approx(0.5)


def test_pictures_of_another_size_and_too_few(shards, tmp_path):
    small = make_samples(tmp_path / "small", [np.zeros((16, 16, 3), np.uint8)])
    with pytest.raises(BadInputError, match=r"\(16, 16, 3\)"):
        search(small, shards, tmp_path / "out")
    with pytest.raises(BadInputError, match="fewer than 17"):
        search(small, shards, tmp_path / "out2", k=17)
