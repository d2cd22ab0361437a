"""What is said in a clip: text files, and GRID's alignments of words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import BadInputError

TRANSCRIPT_SUFFIXES = (".txt", ".align")
_ALIGN_UNITS_PER_S = 25_000
_SILENCE = frozenset({"sil", "sp"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is said, since the start of the clip."""

    word: str
    start_s: float
    end_s: float


def read_align(path: Path) -> tuple[Word, ...]:
    """The words of a GRID ``.align`` file, whose times are in units of 1/25,000 s. Raises ``BadInputError``."""
    words = []
    try:
        for line in path.read_text("ascii").splitlines():
            if line.strip():
                start, end, word = line.split()
                words.append(Word(word, int(start) / _ALIGN_UNITS_PER_S, int(end) / _ALIGN_UNITS_PER_S))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is not an alignment of words: {error}") from error
    return tuple(word for word in words if word.word not in _SILENCE)


def read_transcript(path: Path) -> str:
    """The text of a file that ends in one of ``TRANSCRIPT_SUFFIXES``. Raises ``BadInputError``."""
    if path.suffix == ".align":
        return " ".join(word.word for word in read_align(path))
    try:
        return path.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path} cannot be read as text: {error}") from error
