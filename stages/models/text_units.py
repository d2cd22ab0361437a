"""Texts as classes of a reader: 0 is CTC's blank, then the units; and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

BLANK = 0
SPACE = "\u2581"
"""Stands for a space within units, as in sentence pieces."""


def characters_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The units of a reader that spells: all characters of ``texts``."""
    return tuple(sorted({character for text in texts for character in _spaced(text)}))


def spell(text: str, units: Sequence[str]) -> list[int]:
    """The classes of the characters of ``text``. Raises ``KeyError`` for one that is no unit."""
    classes = {unit: number for number, unit in enumerate(units, start=1)}
    return [classes[character] for character in _spaced(text)]


def join_units(classes: Iterable[int], units: Sequence[str]) -> str:
    """The text of classes, none of which is the blank."""
    return "".join(units[number - 1] for number in classes).replace(SPACE, " ").strip()


def collapse(path: Iterable[int]) -> list[int]:
    """What a CTC path, one class a frame, says: repetitions once, without blanks (Graves et al., 2006)."""
    return [number for number, _ in groupby(path) if number != BLANK]


def _spaced(text: str) -> str:
    return " ".join(text.split()).replace(" ", SPACE)
