"""Which labelled photos a benchmark takes: always the same ones, whatever the file system's order."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import BadInputError


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo below the data's root; ``path`` is relative and POSIX."""

    path: str
    emotion: str
    identity: str


def select_photos(labels: Path, split: str, emotion: str, limit: int | None = None) -> list[LabelledPhoto]:
    """The first ``limit`` colour photos of one emotion and split, in order of the SHA-256 of their paths.

    Raises ``BadInputError`` when the table cannot be read.
    """
    try:
        with labels.open(newline="", encoding="utf-8") as stream:
            chosen = [
                LabelledPhoto(row["path"], row["emotion"], row["identity"])
                for row in csv.DictReader(stream)
                if row["split"] == split and row["emotion"] == emotion and row["grey"].lower() != "true"
            ]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{labels} is not a table of labelled photos: {error}") from error
    return sorted(chosen, key=lambda photo: hashlib.sha256(photo.path.encode()).digest())[:limit]
