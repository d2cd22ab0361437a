"""Reading labelled photos: folders with a CSV, and AffectNet's two layouts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stages.align.sources import NOT_AN_EMOTION, Photos, Sample, read_affectnet, read_folder
from stages.common.errors import BadInputError
from stages.common.manifest import ArtifactKind
from stages.common.samples import split_by_hash


def make_photos(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def write_labels(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    make_photos(root, "b/2.jpg", "a/1.PNG", "notes.txt")
    return root


def identity_of(photos: Photos) -> str:
    return photos.manifest.artifact_id


def test_without_labels_all_photos_are_taken_in_order(photos: Path) -> None:
    found = read_folder(photos)
    assert found.samples == (
        Sample("a/1.PNG", split=split_by_hash("a/1.PNG")),
        Sample("b/2.jpg", split=split_by_hash("b/2.jpg")),
    )
    assert found.manifest.kind is ArtifactKind.SOURCE


def test_labels_say_what_is_taken_and_what_it_is(photos: Path, tmp_path: Path) -> None:
    labels = write_labels(
        tmp_path / "l.csv", "path,emotion,identity,split,grey\nb/2.jpg,Joy,Ann,test,True\na/1.PNG,,,val,\n"
    )
    assert read_folder(photos, labels).samples == (
        Sample("a/1.PNG", split="val"),
        Sample("b/2.jpg", "happy", "Ann", "test", grey=True),
    )


def test_photos_that_are_missing_are_kept_to_be_counted(photos: Path, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "l.csv", "path\nnone.jpg\n")
    assert [s.source_path for s in read_folder(photos, labels).samples] == ["none.jpg"]


def test_one_person_is_in_one_split(photos: Path, tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,p{i % 7}\n" for i in range(70))
    samples = read_folder(photos, write_labels(tmp_path / "l.csv", "path,identity\n" + rows)).samples
    assert len({(s.identity, s.split) for s in samples}) == 7


def test_hashed_splits_are_80_10_10() -> None:
    shares = Counter(split_by_hash(str(i)) for i in range(5000))
    assert shares["train"] == pytest.approx(4000, abs=150)
    assert shares["val"] == pytest.approx(500, abs=100)
    assert shares["test"] == pytest.approx(500, abs=100)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name\na.jpg\n", "no column path"),
        ("path,emotoin\na.jpg,happy\n", "unknown column 'emotoin'"),
        ("path,emotion\na.jpg,happy\nb.jpg,hapy\n", "line 3.*happy"),
        ("path,split\na.jpg,tset\n", "line 2.*tset"),
        ("path,grey\na.jpg,maybe\n", "line 2.*maybe"),
        ("path\n../a.jpg\n", "line 2.*inside"),
        ("path\n/a.jpg\n", "line 2.*relative"),
        ("path\na.jpg\na.jpg\n", "a.jpg is listed twice"),
        ("path\na\0.jpg\n", "line 2.*NUL"),
        ("path\n", "no photos"),
        ("path\n\xff\n".encode("latin-1"), "cannot be read as a CSV"),
    ],
)
def test_labels_that_make_no_sense_are_refused(photos: Path, tmp_path: Path, text: str | bytes, problem: str) -> None:
    (tmp_path / "l.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInputError, match=problem):
        read_folder(photos, tmp_path / "l.csv")


def test_missing_folders_and_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="not a folder"):
        read_folder(tmp_path / "none")
    with pytest.raises(BadInputError, match="no photos"):
        read_folder(tmp_path)
    with pytest.raises(BadInputError, match="cannot be read"):
        read_folder(tmp_path, tmp_path / "none.csv")
    with pytest.raises(BadInputError, match=r"neither training\.csv"):
        read_affectnet(tmp_path)


def test_identity_follows_content_and_labels_but_not_place(photos: Path, tmp_path: Path) -> None:
    first = identity_of(read_folder(photos))
    moved = photos.rename(tmp_path / "elsewhere")
    assert identity_of(read_folder(moved)) == first
    labels = write_labels(tmp_path / "l.csv", "path,emotion\na/1.PNG,sad\nb/2.jpg,sad\n")
    labelled = identity_of(read_folder(moved, labels))
    shuffled = write_labels(tmp_path / "m.csv", "emotion,path\nsad,b/2.jpg\nsad,a/1.PNG\n")
    assert identity_of(read_folder(moved, shuffled)) == labelled
    other = write_labels(tmp_path / "n.csv", "path,emotion\na/1.PNG,sad\nb/2.jpg,anger\n")
    assert len({first, labelled, identity_of(read_folder(moved, other))}) == 3
    (moved / "b/2.jpg").write_bytes(b"more bytes than before")
    assert identity_of(read_folder(moved)) != first


EXPRESSIONS = ["neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt", None, None, None]


@pytest.mark.parametrize(
    ("images", "tables"),
    [
        ("Manually_Annotated_Images", "."),
        ("Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated_file_lists"),
        ("Manually_Annotated", "Manually_Annotated"),
        (".", "."),
    ],
)
def test_affectnet_manual_annotations(tmp_path: Path, images: str, tables: str) -> None:
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
    rows = [f"{code}/x.jpg,0,0,10,10,1;2;3,{code},0.1,-0.2\n" for code in range(11)]
    (tmp_path / tables).mkdir(exist_ok=True)
    (tmp_path / tables / "training.csv").write_text(header + "".join(rows[:6]))
    (tmp_path / tables / "validation.csv").write_text(header + "".join(rows[6:]))
    make_photos(tmp_path / images, *(f"{code}/x.jpg" for code in range(11)))
    samples = {s.source_path: s for s in read_affectnet(tmp_path).samples}
    assert len(samples) == 11
    for code, emotion in enumerate(EXPRESSIONS):
        path = (Path(images) / f"{code}/x.jpg").as_posix()
        split = "train" if code < 6 else "val"
        assert (tmp_path / path).is_file()
        assert samples[path] == Sample(path, emotion, split=split, rejection=None if emotion else NOT_AN_EMOTION)


@pytest.mark.parametrize(("code", "problem"), [("11", "line 2.*0..10"), ("-1", "line 2"), ("happy", "line 2")])
def test_affectnet_codes_outside_the_scheme_are_refused(tmp_path: Path, code: str, problem: str) -> None:
    (tmp_path / "training.csv").write_text(f"subDirectory_filePath,expression\n1/x.jpg,{code}\n")
    with pytest.raises(BadInputError, match=problem):
        read_affectnet(tmp_path)


def test_affectnet_eight_class_release(tmp_path: Path) -> None:
    for folder, number, code in (("train_set", 0, 7), ("train_set", 12, 1), ("val_set", 0, 6)):
        annotations = tmp_path / folder / "annotations"
        annotations.mkdir(parents=True, exist_ok=True)
        np.save(annotations / f"{number}_exp.npy", np.array(str(code)))
        np.save(annotations / f"{number}_val.npy", np.array("0.3"))
        make_photos(tmp_path / folder / "images", f"{number}.jpg")
    assert read_affectnet(tmp_path).samples == (
        Sample("train_set/images/0.jpg", "contempt", split="train"),
        Sample("train_set/images/12.jpg", "happy", split="train"),
        Sample("val_set/images/0.jpg", "anger", split="val"),
    )


def test_affectnet_annotations_are_never_unpickled(tmp_path: Path) -> None:
    annotations = tmp_path / "train_set" / "annotations"
    annotations.mkdir(parents=True)
    np.save(annotations / "0_exp.npy", np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadInputError, match=r"0_exp\.npy does not hold an expression"):
        read_affectnet(tmp_path)
