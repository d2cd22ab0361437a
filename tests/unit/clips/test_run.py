"""The clips stage: what becomes of good clips, and of every kind of bad one."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import skimage.data
from support.shards import read_webdataset
from support.videos import delay_sound, grey_frames, hum, portrait, run_ffmpeg, write_video

from stages.clips import maker as maker_module
from stages.clips import run as clips_run
from stages.clips.config import ClipsConfig, settle
from stages.clips.run import CLIPS
from stages.clips.sources import Clips, read_mead, read_videos
from stages.common.clips import ClipDataset
from stages.common.engine import execute
from stages.common.errors import BadInputError, Interrupted, TooManyRejectedError
from stages.common.face import clip_tracker
from stages.common.face.detect import DlibDetector
from stages.common.manifest import Artifact, find_problems

SECONDS, FRAMES = 0.32, 8
SETTINGS: dict[str, Any] = {"detector": "dlib", "fps": 25, "min_s": 0.25, "max_s": 1, "max_rejected": 1.0}


def cut(source: Clips, out: Path, **fields: Any) -> Artifact:
    return execute(CLIPS, ClipsConfig(**{**SETTINGS, **fields}), {"clips": source}, out)


def rows_of(artifact: Artifact) -> dict[str, dict[str, Any]]:
    return {row["source_path"]: row for row in pq.read_table(artifact.path("clips.parquet")).to_pylist()}


def write_good(path: Path, left: int = 110, **how: Any) -> Path:
    return write_video(path, portrait(FRAMES, left), hum(SECONDS), **how)


@pytest.fixture(scope="module", autouse=True)
def _detector_loaded_once() -> Iterator[None]:
    """Loading dlib takes longer than a small clip, and at 200 px it finds these faces three times faster."""
    detector = DlibDetector()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips_run, "load_detector", lambda *_: detector)
        patch.setattr(clip_tracker, "_REGION_PX", 200)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact]:
    """Three clips with labels, and what the stage makes of them."""
    root = tmp_path_factory.mktemp("good")
    for number, name in enumerate(("zoë ß/été.mp4", "b.mkv", "c.mp4")):
        write_good(root / "clips" / name, left=108 + number)
    table = root / "t.csv"
    lines = ["path,text,identity,emotion,split", "zoë ß/été.mp4,Grüße,Ann,happy,train", "b.mkv,,Bob,,train"]
    table.write_text("\n".join([*lines, "c.mp4,hello,Cid,sad,test"]) + "\n", "utf-8")
    return root / "clips", cut(read_videos(root / "clips", table), root / "out")


def test_a_clip_is_pictures_landmarks_sound_and_facts(good: tuple[Path, Artifact]) -> None:
    data = ClipDataset(good[1], "train")
    assert len(data) == 2
    index = data.identities.index("Ann")
    frames, landmarks, sound, facts = data.frames(index), data.landmarks(index), data.sound(index), data.facts(index)
    assert frames.shape == (FRAMES, 128, 128, 3)
    assert landmarks.shape == (FRAMES, 68, 2)
    assert sound.shape == (16_000 * FRAMES // 25,)
    assert np.abs(sound[100:-100] - hum(SECONDS)[100:-100]).max() < 0.08
    assert (facts["text"], facts["emotion"], facts["fps"], facts["interpolated"]) == ("Grüße", "happy", 25, [])
    assert (data.labels[index], data.lengths[index]) == (1, FRAMES)
    assert np.array_equal(data.frames(index, [7, 2]), frames[[7, 2]])


def test_the_box_is_about_the_first_faces_landmarks(good: tuple[Path, Artifact]) -> None:
    data = ClipDataset(good[1], "test")
    low, high = data.landmarks(0)[0].min(axis=0), data.landmarks(0)[0].max(axis=0)
    assert low.min() > 0
    assert high.max() < 127
    assert np.abs((low + high) / 2 - 63.5).max() < 5
    assert 90 < (high - low).max() < 118
    drift = data.landmarks(0).mean(axis=1)
    assert drift[-1, 0] < drift[0, 0], "the face moves to the left in a fixed box"


def test_landmarks_lie_on_the_face_of_each_crop(good: tuple[Path, Artifact]) -> None:
    data = ClipDataset(good[1], "test")
    frame, points = data.frames(0, [0])[0].astype(int), data.landmarks(0)[0].round().astype(int)
    mouth, chin = points[[62, 66]].mean(axis=0).astype(int), points[8]
    lip, beside = points[57], points[57] - [0, -8]
    red = [
        float(frame[y - 1 : y + 2, x - 1 : x + 2, 0].mean() / frame[y - 1 : y + 2, x - 1 : x + 2, 1].mean())
        for x, y in (lip, beside)
    ]
    assert mouth[1] < chin[1]
    assert red[0] > red[1], "the lower lip is redder than the skin below it"


def test_shards_hold_one_split_and_webdataset_reads_them(good: tuple[Path, Artifact]) -> None:
    artifact = good[1]
    counts = {o.path: o.count for o in artifact.manifest.outputs}
    assert counts == {"clips.parquet": 3, "index.parquet": 3, "test-000000.tar": 1, "train-000000.tar": 2}
    assert artifact.manifest.metrics["clips_by_split"] == {"test": 1, "train": 2}
    assert artifact.manifest.metrics["frames"] == 3 * FRAMES
    assert find_problems(artifact) == []
    samples = read_webdataset([str(artifact.path("train-000000.tar"))], decode=None)
    assert len(samples) == 2
    for sample in samples:
        facts = json.loads(sample["json"])
        assert len(sample["mjpeg"]) == facts["frame_ends"][-1]
        assert sample["wav"].startswith(b"RIFF")
    with tarfile.open(artifact.path("train-000000.tar")) as tar:
        assert {(m.mtime, m.uid, m.uname) for m in tar.getmembers()} == {(0, 0, "")}


def test_the_mjpeg_is_a_video_for_others(good: tuple[Path, Artifact], tmp_path: Path) -> None:
    data = ClipDataset(good[1], "test")
    with tarfile.open(good[1].path("test-000000.tar")) as tar:
        (member,) = [m for m in tar.getmembers() if m.name.endswith(".mjpeg")]
        tar.extract(member, tmp_path, filter="data")
    run_ffmpeg("-i", tmp_path / member.name, "-f", "rawvideo", "-pix_fmt", "rgb24", tmp_path / "out.raw")
    assert (tmp_path / "out.raw").stat().st_size == data.frames(0).size


def test_every_kind_of_bad_clip_is_a_row_with_its_reason(tmp_path: Path) -> None:
    root = tmp_path / "clips"
    people = [np.hstack([a, b]) for a, b in zip(portrait(FRAMES), portrait(FRAMES, 100), strict=True)]
    far = [np.pad(f, ((60, 60), (60, 60), (0, 0))) for f in portrait(FRAMES, size=(100, 100))]
    cat = np.asarray(cv2.resize(np.asarray(skimage.data.cat()), (220, 220)), dtype=np.uint8)
    write_good(root / "a_good.mp4")
    shutil.copy(root / "a_good.mp4", root / "b_copy.mp4")
    write_video(root / "cat.mp4", [cat] * FRAMES, hum(SECONDS))
    write_video(root / "cut.mp4", portrait(FRAMES)[:4] + [cat] * 4, hum(SECONDS))
    write_video(root / "far.mp4", far, hum(SECONDS))
    write_video(root / "people.mp4", people, hum(SECONDS))
    write_video(root / "long.mp4", portrait(FRAMES) * 4, hum(1.28))
    write_video(root / "short.mp4", portrait(5), hum(0.2))
    write_video(root / "mute.mp4", portrait(FRAMES))
    write_video(root / "silent.mp4", portrait(FRAMES), hum(SECONDS) * 0)
    write_video(root / "sound_long.mp4", portrait(FRAMES), hum(0.9))
    write_video(root / "sound_short.mp4", portrait(FRAMES), hum(0.05))
    delay_sound(write_good(root / "sound.mp4", left=90), 0.3)
    (root / "sound.mp4").unlink()
    write_good(root / "gaps.mkv", options=["-vf", r"select=eq(n\,0)+eq(n\,7)", "-fps_mode", "vfr"])
    (root / "text.mp4").write_text("not a video" * 99)
    run_ffmpeg("-i", root / "a_good.mp4", "-vn", root / "voice.mp4")
    names = sorted(path.name for path in root.iterdir())
    table = tmp_path / "t.csv"
    table.write_text("path,split\n" + "".join(f"{name},train\n" for name in [*names, "gone.mp4"]))
    artifact = cut(read_videos(root, table), tmp_path / "out", min_face_px=60)
    assert {name: row["status"] for name, row in rows_of(artifact).items()} == {
        "a_good.mp4": "ok",
        "b_copy.mp4": "duplicate",
        "cat.mp4": "no face",
        "cut.mp4": "shot cut",
        "far.mp4": "too small",
        "gaps.mkv": "pictures missing",
        "gone.mp4": "missing",
        "long.mp4": "too long",
        "mute.mp4": "no sound",
        "people.mp4": "several faces",
        "short.mp4": "too short",
        "silent.mp4": "silent",
        "sound-late.mp4": "length mismatch",
        "sound_long.mp4": "length mismatch",
        "sound_short.mp4": "length mismatch",
        "text.mp4": "unreadable",
        "voice.mp4": "no video",
    }
    assert artifact.manifest.counts.ok == 1
    assert ClipDataset(artifact, "train").keys == [rows_of(artifact)["a_good.mp4"]["sample_key"]]
    with tarfile.open(artifact.path("train-000000.tar")) as tar:
        assert len(tar.getmembers()) == 4, "the duplicate is gone from its shard"


def test_pictures_before_the_face_are_interpolated_and_counted(tmp_path: Path) -> None:
    covered = portrait(FRAMES)
    for number in (0, 1, 6):
        covered[number] = covered[number].copy()
        covered[number][20:120, 40:170] = covered[number][20:120, 40:170].mean(axis=(0, 1))
    write_video(tmp_path / "clips/a.mp4", covered, hum(SECONDS))
    source = read_videos(tmp_path / "clips")
    artifact = cut(source, tmp_path / "out", min_found=0.6, min_similarity=-1)
    (row,) = rows_of(artifact).values()
    data = ClipDataset(artifact, row["split"])
    assert data.facts(0)["interpolated"] == [0, 1, 6]
    assert (row["interpolated"], artifact.manifest.metrics["frames_interpolated"]) == (3, 3)
    steps = np.abs(np.diff(data.landmarks(0), axis=0)).max(axis=(1, 2))
    assert steps.max() < 6
    lost = cut(source, tmp_path / "strict", min_found=0.8, min_similarity=-1)
    assert lost.manifest.counts.rejected_by_reason == {"face lost": 1}


def test_upright_phone_videos_are_found_upright(tmp_path: Path) -> None:
    tall = [np.pad(frame, ((90, 80), (0, 0), (0, 0)), mode="edge") for frame in portrait(FRAMES)]
    lying = [np.ascontiguousarray(np.rot90(frame, -1)) for frame in tall]
    plain = write_video(tmp_path / "plain.mp4", lying, hum(SECONDS))
    (tmp_path / "clips").mkdir()
    run_ffmpeg("-display_rotation", 90, "-i", plain, "-c", "copy", tmp_path / "clips/phone.mp4")
    artifact = cut(read_videos(tmp_path / "clips"), tmp_path / "out")
    (row,) = rows_of(artifact).values()
    assert row["status"] == "ok"
    points = ClipDataset(artifact, row["split"]).landmarks(0)[0]
    assert points[36:48, 1].mean() < points[30, 1] < points[8, 1]


@pytest.mark.parametrize(
    ("rate_hz", "channels", "options"),
    [(8_000, 1, []), (96_000, 2, []), (48_000, 6, ["-channel_layout", "5.1"])],
)
def test_sound_of_any_form_becomes_the_same(tmp_path: Path, rate_hz: int, channels: int, options: list[str]) -> None:
    sound = np.repeat(hum(SECONDS, rate_hz)[:, None], channels, axis=1)
    codec = ["-c:a", "pcm_s16le", *options]
    write_video(tmp_path / "clips/a.mkv", portrait(FRAMES), sound, rate_hz=rate_hz, options=codec)
    artifact = cut(read_videos(tmp_path / "clips"), tmp_path / "out")
    (row,) = rows_of(artifact).values()
    made = ClipDataset(artifact, row["split"]).sound(0)[200:-200]
    assert np.corrcoef(made, hum(SECONDS)[200:-200])[0, 1] > 0.99
    assert row["silence_s"] < 0.01


def test_a_test_clip_wins_over_its_copy_for_training(tmp_path: Path) -> None:
    write_good(tmp_path / "clips/a.mp4")
    shutil.copy(tmp_path / "clips/a.mp4", tmp_path / "clips/z.mp4")
    table = tmp_path / "t.csv"
    table.write_text("path,split\na.mp4,train\nz.mp4,test\n")
    artifact = cut(read_videos(tmp_path / "clips", table), tmp_path / "out")
    assert artifact.manifest.metrics["clips_by_split"] == {"test": 1}
    assert not artifact.path("train-000000.tar").exists()


def test_sound_beside_the_video_is_taken_before_its_own(tmp_path: Path) -> None:
    video = tmp_path / "mead/W014/video/front/neutral/level_1/003.mp4"
    write_video(video, portrait(FRAMES), hum(SECONDS, frequency_hz=100), fps=30)
    sound = tmp_path / "mead/W014/audio/neutral/level_1/003.m4a"
    sound.parent.mkdir(parents=True)
    write_video(tmp_path / "other.mp4", grey_frames([0] * 8), hum(SECONDS, frequency_hz=400))
    run_ffmpeg("-i", tmp_path / "other.mp4", "-vn", sound)
    source = read_mead(tmp_path / "mead")
    config, _ = settle(ClipsConfig(**{**SETTINGS, "fps": None}), source, fetch=False)
    assert config.fps == 30
    artifact = execute(CLIPS, config, {"clips": source}, tmp_path / "out")
    samples = ClipDataset(artifact, "train").sound(0)
    assert len(samples) == round(FRAMES / 30 * 16_000)
    assert np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples) == pytest.approx(400, abs=5)


def test_killed_between_shards_it_goes_on_to_the_same_artifact(
    good: tuple[Path, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read_videos(good[0])
    fresh = cut(source, tmp_path / "fresh", clips_per_shard=1)
    make: Callable[..., Any] = maker_module.ClipMaker.make
    made: list[object] = []

    def make_one(self: object, clip: object) -> object:
        made.append(clip)
        if len(made) == 2:
            raise Interrupted("killed")
        return make(self, clip)

    monkeypatch.setattr(maker_module.ClipMaker, "make", make_one)
    with pytest.raises(Interrupted):
        cut(source, tmp_path / "out", clips_per_shard=1)
    resumed = cut(source, tmp_path / "out", clips_per_shard=1)
    assert len(made) == 4, "the first shard was not made again"
    assert resumed.manifest.artifact_id == fresh.manifest.artifact_id


def test_too_many_rejections_stop_the_run(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.mp4").write_text("x")
    with pytest.raises(TooManyRejectedError, match="1 of 1 clips were rejected, 1 of them as 'unreadable'"):
        cut(read_videos(tmp_path / "clips"), tmp_path / "out", max_rejected=0.5)


def test_only_clips_can_be_cut(source: Artifact, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="reads clips"):
        execute(CLIPS, ClipsConfig(detector="dlib"), {"clips": source}, tmp_path / "out")


@pytest.mark.parametrize("damage", [lambda shard: shard.write_bytes(shard.read_bytes()[:2000]), Path.unlink])
def test_damaged_shards_are_bad_input(
    good: tuple[Path, Artifact], tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    shutil.copytree(good[1].root, tmp_path / "copy")
    copy = Artifact(good[1].manifest, tmp_path / "copy")
    damage(copy.path("test-000000.tar"))
    with pytest.raises(BadInputError):
        ClipDataset(copy, "test").frames(0)
