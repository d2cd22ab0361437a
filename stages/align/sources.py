"""Labelled photos on disk, as the align stage's input: folders, and AffectNet in both of its layouts."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from stages.common.emotions import EMOTIONS, parse_emotion
from stages.common.engine import describe_source
from stages.common.errors import BadInputError, ConfigError
from stages.common.hashing import hash_json, hash_listing
from stages.common.images import PHOTO_SUFFIXES
from stages.common.manifest import Artifact

SPLITS = ("train", "val", "test")
NOT_AN_EMOTION = "not an emotion"
_AFFECTNET_CODES = 11
_MANUAL_CSVS = {"training.csv": "train", "validation.csv": "val"}
_MANUAL_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated")
_RELEASE_FOLDERS = {"train_set": "train", "val_set": "val"}
_LABEL_COLUMNS = frozenset({"path", "emotion", "identity", "split", "grey"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo: its POSIX path relative to the source, and what is known of it; ``rejection`` says why it is out."""

    source_path: str
    emotion: str | None = None
    identity: str | None = None
    split: str = "train"
    grey: bool | None = None
    rejection: str | None = None


@dataclass(frozen=True, slots=True)
class Photos(Artifact):
    """A source artifact with its samples, sorted by path. Its identity covers paths, file sizes and labels."""

    samples: tuple[Sample, ...]


def read_folder(root: Path, labels: Path | None = None) -> Photos:
    """Any photos below ``root``: those that ``labels`` lists, else all of them, unlabelled.

    ``labels`` is a CSV with a column ``path`` relative to ``root``, and any of emotion, identity, split (train,
    val, test) and grey (true, false). Without a split, 80, 10, 10 % of the identities (or paths) are train, val, test.
    Raises ``BadInputError`` for a missing folder or a CSV that cannot be understood, naming the line.
    """
    _require_folder(root)
    if labels is not None:
        return _describe(root, _read_labels(labels))
    paths = (p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
    return _describe(root, (Sample(path, split=split_by_hash(path)) for path in paths))


def read_affectnet(root: Path) -> Photos:
    """AffectNet as distributed: the manual annotations' ``training.csv`` and ``validation.csv``, or the 8 classes.

    Raises ``BadInputError`` if ``root`` holds neither.
    """
    _require_folder(root)
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


def split_by_hash(key: str) -> str:
    """80 % train, 10 % val, 10 % test, decided by the SHA-256 of ``key`` alone."""
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    return "train" if position < 0.8 else "val" if position < 0.9 else "test"


def _describe(root: Path, samples: Iterable[Sample]) -> Photos:
    ordered = tuple(sorted(samples, key=lambda s: s.source_path))
    if not ordered:
        raise BadInputError(f"no photos in {root}")
    for before, sample in pairwise(ordered):
        if before.source_path == sample.source_path:
            raise BadInputError(f"{sample.source_path} is listed twice")
    listing = hash_listing((s.source_path, _size_bytes(root / s.source_path)) for s in ordered)
    labels = hash_json([asdict(s) for s in ordered])
    source = describe_source(root, hash_json([listing, labels]))
    return Photos(source.manifest, source.root, ordered)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        raise BadInputError(f"{root} is not a folder", "Give the folder that holds the photos")


def _open_rows(table: Path, required: frozenset[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV with a header. Raises ``BadInputError`` if it cannot be read as one."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = required - set(reader.fieldnames or ())
            if missing:
                raise BadInputError(f"{table} has no column {', '.join(sorted(missing))}")
            for row in reader:
                named = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
                yield reader.line_num, named
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{table} cannot be read as a CSV: {error}") from error


def _read_labels(table: Path) -> Iterator[Sample]:
    for line, row in _open_rows(table, frozenset({"path"})):
        unknown = row.keys() - _LABEL_COLUMNS
        if unknown:
            known = ", ".join(sorted(_LABEL_COLUMNS))
            raise BadInputError(f"{table} has an unknown column {min(unknown)!r}", f"Known: {known}")
        try:
            yield _parse_label(row)
        except (ValueError, ConfigError) as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error


def _parse_label(row: dict[str, str]) -> Sample:
    path = _safe_path(row["path"])
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


def _safe_path(text: str) -> str:
    path = PurePosixPath(text.replace("\\", "/"))
    if not text or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"path {text!r} must be relative and stay inside the folder")
    return path.as_posix()


def _find_table(root: Path, name: str) -> Path | None:
    places = (root / name, root / "Manually_Annotated" / name, root / "Manually_Annotated_file_lists" / name)
    return next((place for place in places if place.is_file()), None)


def _read_manual(root: Path, table: Path, split: str) -> Iterator[Sample]:
    photos = next((place for place in _MANUAL_FOLDERS if (root / place).is_dir()), "")
    for line, row in _open_rows(table, frozenset({"subDirectory_filePath", "expression"})):
        try:
            path = _safe_path(f"{photos}/{row['subDirectory_filePath']}".lstrip("/"))
            yield _affectnet_sample(path, int(row["expression"]), split)
        except ValueError as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error


def _read_release(root: Path, folder: Path, split: str) -> Iterator[Sample]:
    for annotation in sorted((folder / "annotations").glob("*_exp.npy")):
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
