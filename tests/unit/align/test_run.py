"""The align stage on a handful of photos: what it writes, whom it rejects and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from stages.align import run as align_run
from stages.align.config import AlignConfig
from stages.align.faces import FaceMaker, is_grey
from stages.align.run import ALIGN
from stages.align.sources import Photos, Sample, read_affectnet, read_folder
from stages.common.engine import execute
from stages.common.errors import BadInputError, Interrupted, TooManyRejectedError
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import Face, load_detector
from stages.common.face.similarity import transform_points
from stages.common.face.warp import align_face
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, find_problems
from stages.common.samples import sample_key

SavePhoto = Callable[..., Path]


def align(source: Photos, out: Path, **fields: Any) -> Artifact:
    config = AlignConfig(**{"detector": "dlib", "max_rejected": 1.0, **fields})
    return execute(ALIGN, config, {"photos": source}, out)


def rows_of(artifact: Artifact) -> dict[str, dict[str, Any]]:
    return {row["source_path"]: row for row in pq.read_table(artifact.path("faces.parquet")).to_pylist()}


def test_a_face_and_its_row_agree(tmp_path: Path, save_photo: SavePhoto) -> None:
    photo = save_photo("a/one.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("path,emotion,identity,split\na/one.png,happy,Eileen,test\n")
    artifact = align(read_folder(photo.parents[1], labels), tmp_path / "out", size_px=96)
    row = rows_of(artifact)["a/one.png"]
    assert (row["status"], row["emotion"], row["identity"], row["split"]) == ("ok", "happy", "Eileen", "test")
    assert (row["detector"], row["grey"]) == ("dlib", False)
    assert row["face_path"] == f"faces/00000/{row['sample_key']}.jpg"
    crop = read_rgb(artifact.path(row["face_path"]))
    matrix = np.reshape(row["transform"], (2, 3))
    expected = align_face(read_rgb(photo), matrix, 96)
    assert np.abs(crop.astype(int) - expected).mean() < 3
    aligned = transform_points(matrix, np.reshape(row["landmarks"], (68, 2)))
    assert np.abs(aligned - canonical_landmarks(96)).mean() < 96 * 0.05
    assert artifact.manifest.counts.model_dump() == {"total": 1, "ok": 1, "rejected_by_reason": {}}
    assert artifact.manifest.metrics["faces_by_emotion"] == {"happy": 1}
    assert find_problems(artifact) == []


def test_jpegs_keep_full_colour_resolution(tmp_path: Path, save_photo: SavePhoto) -> None:
    artifact = align(read_folder(save_photo("one.png").parent), tmp_path / "out")
    with Image.open(artifact.path(rows_of(artifact)["one.png"]["face_path"])) as image:
        assert image.size == (128, 128)
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


def test_every_rejection_is_a_row_with_its_reason(tmp_path: Path, save_photo: SavePhoto) -> None:
    root = save_photo("a_good.jpg").parent
    shutil.copy(root / "a_good.jpg", root / "b_same.jpg")
    (root / "cut.jpg").write_bytes((root / "a_good.jpg").read_bytes()[:2000])
    (root / "empty.jpg").touch()
    (root / "folder.jpg").mkdir()
    save_photo("blurred.png", blur_px=3)
    Image.fromarray(np.asarray(skimage.data.cat())).save(root / "cat.jpg")
    Image.fromarray(np.asarray(skimage.data.astronaut())).crop((120, 30, 320, 230)).resize((110, 110)).save(
        root / "far.png"
    )
    Image.new("RGB", (20, 20)).save(root / "tiny.png")
    names = ["a_good.jpg", "b_same.jpg", "blurred.png", "cat.jpg", "cut.jpg", "empty.jpg", "far.png", "folder.jpg"]
    labels = tmp_path / "labels.csv"
    labels.write_text("path\n" + "\n".join([*names, "gone.jpg", "tiny.png"]) + "\n")
    artifact = align(read_folder(root, labels), tmp_path / "out", min_face_px=60)
    rows = rows_of(artifact)
    assert {name: row["status"] for name, row in rows.items()} == {
        "a_good.jpg": "ok",
        "b_same.jpg": "duplicate",
        "blurred.png": "blurred",
        "cat.jpg": "no face",
        "cut.jpg": "unreadable",
        "empty.jpg": "empty",
        "far.png": "too small",
        "folder.jpg": "not a file",
        "gone.jpg": "missing",
        "tiny.png": "no face",
    }
    counts = artifact.manifest.counts
    assert (counts.total, counts.ok, counts.rejected_by_reason["no face"]) == (10, 1, 2)
    assert [row["source_path"] for row in rows.values() if row["face_path"]] == ["a_good.jpg"]
    assert len(list((artifact.root / "faces").rglob("*.jpg"))) == 1
    assert list(rows) == sorted(rows)


def test_labels_that_are_no_emotion_are_counted_and_not_searched(tmp_path: Path, save_photo: SavePhoto) -> None:
    root = save_photo("1/x.jpg").parents[1]
    (root / "training.csv").write_text("subDirectory_filePath,expression\n1/x.jpg,1\n2/absent.jpg,10\n")
    artifact = align(read_affectnet(root), tmp_path / "out", max_rejected=0.0)
    assert artifact.manifest.counts.rejected_by_reason == {"not an emotion": 1}
    assert artifact.manifest.metrics["faces_by_emotion"] == {"happy": 1}


def test_grey_photos_are_told_and_can_be_refused(tmp_path: Path, save_photo: SavePhoto) -> None:
    save_photo("colour.jpg")
    root = save_photo("grey.jpg", grey=True).parent
    rows = rows_of(align(read_folder(root), tmp_path / "all"))
    assert [rows[name]["grey"] for name in ("colour.jpg", "grey.jpg")] == [False, True]
    refused = align(read_folder(root), tmp_path / "colour", colour_only=True, max_rejected=0.0)
    assert refused.manifest.counts.rejected_by_reason == {"grey": 1}
    labels = tmp_path / "labels.csv"
    labels.write_text("path,grey\ncolour.jpg,true\n")
    labelled = align(read_folder(root, labels), tmp_path / "labelled", colour_only=True)
    assert labelled.manifest.counts.rejected_by_reason == {"grey": 1}


def test_a_jpeg_of_a_grey_photo_is_grey_despite_rounding() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 254, (16, 16, 1)), 3, axis=2)
    assert is_grey((grey + rng.integers(0, 2, grey.shape)).astype(np.uint8))
    assert not is_grey((grey // 2 + [12, 6, 0]).astype(np.uint8))


@pytest.mark.parametrize(("several", "status"), [("largest", "ok"), ("central", "ok"), ("reject", "several faces")])
def test_of_several_faces_the_configured_one_is_taken(
    tmp_path: Path, save_photo: SavePhoto, several: str, status: str
) -> None:
    face = Image.open(save_photo("face.png"))
    canvas = Image.new("RGB", (620, 300), "grey")
    canvas.paste(face, (210, 60))
    canvas.paste(face.resize((300, 300)).crop((40, 0, 250, 300)), (410, 0))
    (tmp_path / "several").mkdir()
    canvas.save(tmp_path / "several" / "two.png")
    row = rows_of(align(read_folder(tmp_path / "several"), tmp_path / "out", several=several))["two.png"]
    assert row["status"] == status
    assert (row["box_xyxy"][0] > 400) == (several != "central")


def test_a_find_that_scores_far_below_the_face_is_no_second_face(tmp_path: Path, save_photo: SavePhoto) -> None:
    photo = save_photo("one.png")
    detector = load_detector("dlib")

    class WithACushion:
        name = "dlib"

        def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
            (face,) = detector(rgb)
            cushion = Face((0.0, 0.0, 400.0, 400.0), face.score * 0.1, face.landmarks)
            return [cushion, face]

    maker = FaceMaker(AlignConfig(detector="dlib", several="reject"), photo.parent, WithACushion())
    row, jpeg = maker.make(Sample(photo.name))
    assert row.status == "ok"
    assert jpeg is not None
    assert row.box_xyxy[2] < 400


def test_the_limit_takes_the_first_by_path(tmp_path: Path, save_photo: SavePhoto) -> None:
    for name in ("c.jpg", "a.jpg", "b.jpg"):
        root = save_photo(name, left=100 + ord(name[0]) % 7).parent
    assert list(rows_of(align(read_folder(root), tmp_path / "out", limit=2))) == ["a.jpg", "b.jpg"]


def test_too_many_rejections_stop_the_run(tmp_path: Path, save_photo: SavePhoto) -> None:
    root = save_photo("a.jpg").parent
    for name in ("b.jpg", "c.jpg"):
        (root / name).write_text("x")
    with pytest.raises(TooManyRejectedError, match="2 of 3 photos were rejected, 2 of them as 'unreadable'"):
        align(read_folder(root), tmp_path / "out", max_rejected=0.5)
    assert not (tmp_path / "out").exists()
    assert align(read_folder(root), tmp_path / "other", max_rejected=0.7).manifest.counts.ok == 1


def test_stopping_between_chunks_keeps_what_is_done(
    tmp_path: Path, save_photo: SavePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(align_run, "CHUNK_SAMPLES", 1)
    for index in range(3):
        root = save_photo(f"{index}.jpg", left=110 + index).parent
    config = AlignConfig(detector="dlib")
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        execute(ALIGN, config, {"photos": read_folder(root)}, tmp_path / "out", should_stop=lambda: next(answers))
    kept = sorted(path.stem for path in (tmp_path / "out.partial" / ".run" / "work").glob("*.parquet"))
    assert kept == ["00000", "00001"]
    resumed = execute(ALIGN, config, {"photos": read_folder(root)}, tmp_path / "out")
    fresh = execute(ALIGN, config, {"photos": read_folder(root)}, tmp_path / "fresh")
    assert resumed.manifest.artifact_id == fresh.manifest.artifact_id


def test_only_photos_can_be_aligned(source: Artifact, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="reads photos"):
        execute(ALIGN, AlignConfig(detector="dlib"), {"photos": source}, tmp_path / "out")


def test_sample_keys_are_readable_safe_and_unique() -> None:
    keys = {sample_key(path) for path in ("a/x.1.jpg", "b/x.1.jpg", "a/x.1.png", "a/x 1.jpg")}
    assert len(keys) == 4
    assert all(key.startswith("x_1-") for key in keys)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for key in keys)
    assert len(sample_key("ü" * 300 + ".jpg")) < 60
