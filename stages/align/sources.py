"""Labelled photos on disk, as the align stage's input: folders, and AffectNet in both of its layouts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.common.emotions import EMOTIONS, parse_emotion
from stages.common.errors import BadInputError, ConfigError
from stages.common.manifest import Artifact
from stages.common.media_files import PHOTO_SUFFIXES, is_shown, list_media, say_nothing
from stages.common.samples import SPLITS, SourceSample, describe_samples, require_folder, split_by_hash
from stages.common.tables import read_csv, safe_path

NOT_AN_EMOTION = "not an emotion"
_AFFECTNET_CODES = 11
_MANUAL_CSVS = {"training.csv": "train", "validation.csv": "val"}
_MANUAL_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated")
_RELEASE_FOLDERS = {"train_set": "train", "val_set": "val"}
_LABEL_COLUMNS = frozenset({"path", "emotion", "identity", "split", "grey"})


@dataclass(frozen=True, slots=True)
class Sample(SourceSample):
    """One photo and what is known of it; ``rejection`` says why it is out."""

    emotion: str | None = None
    identity: str | None = None
    split: str = "train"
    grey: bool | None = None
    rejection: str | None = None


@dataclass(frozen=True, slots=True)
class Photos(Artifact):
    """A source artifact with its samples, sorted by path. Its identity covers paths, file sizes and labels."""

    samples: tuple[Sample, ...]


def read_folder(
    root: Path,
    labels: Path | None = None,
    note: Callable[[str], None] = say_nothing,
    without: Collection[Path] = (),
) -> Photos:
    """Any photos below ``root``: those that ``labels`` lists, else all of them, unlabelled.

    ``labels`` is a CSV with a column ``path`` relative to ``root``, and any of emotion, identity, split (train,
    val, test) and grey (true, false). Without a split, 80, 10, 10 % of the identities (or paths) are train, val, test.
    What lies below ``without`` is left out, and ``note`` is told what else was.
    Raises ``BadInputError`` for a missing folder or a CSV that cannot be understood, naming the line.
    """
    require_folder(root, "photos")
    if labels is not None:
        return _describe(root, _read_labels(labels))
    paths = (path.relative_to(root).as_posix() for path in list_media(root, PHOTO_SUFFIXES, note, without))
    return _describe(root, (Sample(path, split=split_by_hash(path)) for path in paths))


def read_affectnet(root: Path) -> Photos:
    """AffectNet as distributed: the manual annotations' ``training.csv`` and ``validation.csv``, or the 8 classes.

    Raises ``BadInputError`` if ``root`` holds neither.
    """
    require_folder(root, "photos")
    tables = {p: split for name, split in _MANUAL_CSVS.items() if (p := _find_table(root, name))}
    if tables:
        return _describe(root, (s for table, split in tables.items() for s in _read_manual(root, table, split)))
    folders = {root / name: split for name, split in _RELEASE_FOLDERS.items() if (root / name / "annotations").is_dir()}
    if folders:
        return _describe(root, (s for folder, split in folders.items() for s in _read_release(root, folder, split)))
    raise BadInputError(
        f"{root} holds neither training.csv or validation.csv nor train_set or val_set with annotations",
        "Give the folder into which AffectNet was unpacked",
    )


def _describe(root: Path, samples: Iterable[Sample]) -> Photos:
    source, ordered = describe_samples(root, samples, "photos", lambda sample: [sample.source_path])
    return Photos(source.manifest, source.root, ordered)


def _read_labels(table: Path) -> Iterator[Sample]:
    for line, row in read_csv(table, frozenset({"path"}), _LABEL_COLUMNS):
        try:
            yield _parse_label(row)
        except (ValueError, ConfigError) as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error


def _parse_label(row: dict[str, str]) -> Sample:
    path = safe_path(row["path"])
    identity = row.get("identity") or None
    split = row.get("split") or split_by_hash(identity or path)
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
    grey = row.get("grey", "").lower()
    if grey not in ("", "true", "false", "1", "0"):
        raise ValueError(f"grey {grey!r} is neither true nor false")
    emotion = row.get("emotion")
    return Sample(
        source_path=path,
        emotion=parse_emotion(emotion) if emotion else None,
        identity=identity,
        split=split,
        grey=grey in ("true", "1") if grey else None,
    )


def _find_table(root: Path, name: str) -> Path | None:
    places = (root / name, root / "Manually_Annotated" / name, root / "Manually_Annotated_file_lists" / name)
    return next((place for place in places if place.is_file()), None)


def _read_manual(root: Path, table: Path, split: str) -> Iterator[Sample]:
    photos = next((place for place in _MANUAL_FOLDERS if (root / place).is_dir()), "")
    for line, row in read_csv(table, frozenset({"subDirectory_filePath", "expression"})):
        try:
            path = safe_path(f"{photos}/{row['subDirectory_filePath']}".lstrip("/"))
            yield _affectnet_sample(path, int(row["expression"]), split)
        except ValueError as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error


def _read_release(root: Path, folder: Path, split: str) -> Iterator[Sample]:
    for annotation in sorted(path for path in (folder / "annotations").glob("*_exp.npy") if is_shown(path.name)):
        photo = folder / "images" / f"{annotation.name.removesuffix('_exp.npy')}.jpg"
        try:
            code = int(np.load(annotation, allow_pickle=False).item())
            yield _affectnet_sample(photo.relative_to(root).as_posix(), code, split)
        except (OSError, ValueError, EOFError) as error:
            raise BadInputError(f"{annotation} does not hold an expression: {error}") from error


def _affectnet_sample(path: str, code: int, split: str) -> Sample:
    if not 0 <= code < _AFFECTNET_CODES:
        raise ValueError(f"expression {code} is not in 0..{_AFFECTNET_CODES - 1}")
    if code >= len(EMOTIONS):
        return Sample(path, split=split, rejection=NOT_AN_EMOTION)
    return Sample(path, emotion=EMOTIONS[code], split=split)
