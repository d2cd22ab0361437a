"""``eval sync``: a lag that was put in is found; SyncNet on a random twin of its published network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.grey_mouths import NOBODY, draw_levels, write_talk

from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError, MissingModelError
from stages.common.experts import EXPERTS
from stages.common.hashing import hash_file
from stages.common.table import read_table
from stages.common.weights import cache_folder
from stages.evaluate.config import SyncConfig
from stages.evaluate.registry import settle_metrics
from stages.evaluate.table import read_rows
from stages.evaluate.talk import syncnet
from stages.evaluate.talk.clips import TalkingClip, read_clips
from stages.evaluate.talk.sync import sync_spec
from stages.evaluate.talk.syncnet import compare_embeddings, cut_faces, find_offset, load_syncnet
from stages.evaluate.talk.systems import REAL
from stages.models.syncnet import SyncNet, SyncNetSizes

LAG = ("lag", "lag_spread", "lag_correlation", "lag_peak_ratio")
SMALL = SyncNetSizes(lip_channels=(2, 2, 4), sound_channels=(2, 2, 2, 2, 4), dim=8)


def evaluate(out, systems, **fields):
    clips = {name: read_clips(root) for name, root in systems.items()}
    names = tuple(name for name in clips if name != REAL)
    return execute(sync_spec(clips), SyncConfig(**{"metrics": LAG, "systems": names, **fields}), clips, out)


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A store in which SyncNet's file holds random weights of small sizes, as if these were the known ones."""
    torch.manual_seed(0)
    monkeypatch.setattr(syncnet, "SyncNet", lambda: SyncNet(SMALL))
    folder = cache_folder() / "weights"
    folder.mkdir(parents=True)
    path = folder / "syncnet_v2.model"
    torch.save(SyncNet(SMALL).state_dict(), path)
    monkeypatch.setitem(EXPERTS, "syncnet", replace(EXPERTS["syncnet"], sha256=hash_file(path)))
    return path


def test_late_sound_has_a_positive_lag(tmp_path, real, other):
    artifact = evaluate(tmp_path / "out", {REAL: real, "late": other})
    truth, late = read_table(artifact).rows
    assert truth.labels == {"system": REAL, "clips": "real"}
    assert truth.values["lag"].mean == pytest.approx(0, abs=15)
    assert late.values["lag"].mean - truth.values["lag"].mean == pytest.approx(160, abs=15)
    assert truth.values["lag_correlation"].mean > 0.8
    rows = read_rows(artifact.path("samples.parquet"))
    lags = [row["lag"] for row in rows if row["system"] == "late"]
    assert late.values["lag"].mean == pytest.approx(np.median(lags))
    assert late.values["lag_spread"].mean == pytest.approx(np.median(np.abs(lags - np.median(lags))))


def test_clips_without_a_face_or_sound_are_counted(tmp_path):
    root = tmp_path / "x"
    root.mkdir()
    write_talk(root / "good.mp4", draw_levels(0))
    write_talk(root / "mute.mp4", draw_levels(1), sound=False)
    write_talk(root / "nobody.mp4", [NOBODY] * 44)
    artifact = evaluate(tmp_path / "out", {"x": root}, max_rejected=0.7)
    assert [row["lag"] is None for row in read_rows(artifact.path("samples.parquet"))] == [False, True, True]
    assert artifact.manifest.counts.rejected_by_reason == {"no face": 1, "no sound": 1}
    assert read_table(artifact).notes == ("x: 2 of 3 clips rejected: no face 1, no sound 1",)
    for name in ("good.mp4", "mute.mp4"):
        (root / name).unlink()
    with pytest.raises(BadInputError, match="no clip of x could be measured: no face"):
        evaluate(tmp_path / "none", {"x": root}, max_rejected=1)


def test_without_weights_syncnet_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    settled = settle_metrics(SyncConfig())
    assert settled.metrics == LAG
    assert "syncnet_v2.model is neither" in settled.missing["syncnet_offset"]
    with pytest.raises(MissingModelError, match=r"syncnet_confidence cannot be measured: syncnet_v2.model"):
        settle_metrics(SyncConfig(metrics=("syncnet_confidence",)))
    with pytest.raises(ConfigError, match="nothing to measure"):
        sync_spec({})


def test_syncnet_has_its_own_columns(tmp_path, real, store):
    pytest.importorskip("python_speech_features")
    names = ("syncnet_offset", "syncnet_confidence", "syncnet_distance", "lag")
    table = read_table(evaluate(tmp_path / "out", {REAL: real}, metrics=names, limit=1))
    (row,) = table.rows
    assert set(row.values) == set(names)
    assert row.values["syncnet_offset"].mean % 40 == 0
    assert row.values["syncnet_confidence"].mean >= 0
    assert table.notes == (
        f"syncnet: syncnet_v2.model, SHA-256 {hash_file(store)}, licence: {EXPERTS['syncnet'].licence}",
    )


def test_a_damaged_file_is_no_syncnet(store):
    load_syncnet(store)
    store.write_bytes(b"damaged")
    with pytest.raises(MissingModelError, match="does not hold SyncNet's weights"):
        load_syncnet(store)


@pytest.mark.parametrize("frames", [-7, 0, 4])
def test_the_nearest_shift_of_embeddings_is_the_offset(frames):
    torch.manual_seed(0)
    sound = torch.randn(60, 8)
    result = compare_embeddings(sound[20:40], sound[20 - frames : 40 - frames])
    assert result.offset_ms == 40 * frames
    assert result.distance == pytest.approx(abs(frames) / 20 * 4, abs=2.5)
    assert result.confidence > 0.5


def test_syncnet_wants_25_frames_a_second_and_some_of_them():
    clip = TalkingClip(
        np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 68, 2), np.float32), np.zeros(9999, np.float32), 30
    )
    with pytest.raises(BadInputError, match="needs 25 frames a second, not 30"):
        find_offset(SyncNet(SMALL), clip)
    slow = TalkingClip(clip.frames, clip.landmarks, clip.samples, 25)
    with pytest.raises(BadInputError, match="too few"):
        find_offset(SyncNet(SMALL), slow)


def test_faces_are_cut_as_bgr_around_the_landmarks():
    frames = np.zeros((2, 64, 64, 3), np.uint8)
    frames[:, 16:48, 16:48] = (10, 20, 30)
    landmarks = np.full((2, 68, 2), 31.5, np.float32)
    landmarks[:, 0], landmarks[:, 1] = (20, 20), (43, 43)
    faces = cut_faces(TalkingClip(frames, landmarks, np.zeros(0, np.float32), 25))
    assert faces.shape == (3, 2, 224, 224)
    assert faces[:, 0, 112, 112].tolist() == [30, 20, 10]
