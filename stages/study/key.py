"""The key of a study: what every question of every form showed. Participants never get it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.common.emotions import EDIT_TARGETS
from stages.common.errors import BadInputError

KEY_NAME = "key.json"
NONE_OF_THESE = "none"
SIDES = ("left", "right")
WORDS = (*EDIT_TARGETS, NONE_OF_THESE)


class Record(BaseModel):
    """Base of what is written to and read from JSON here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Comparison(Record):
    """Which looks more real, ``left`` or ``right``? Both are systems, with their picture of ``face``."""

    kind: Literal["comparison"] = "comparison"
    left: str
    right: str
    target: str | None
    face: str


class Recognition(Record):
    """Which emotion does a system's picture of ``face`` show?"""

    kind: Literal["recognition"] = "recognition"
    system: str
    target: str
    face: str


class SideCheck(Record):
    """A source beside a wreck of it: the side of the source is ``expected``."""

    kind: Literal["side_check"] = "side_check"
    expected: Literal["left", "right"]
    face: str


class WordCheck(Record):
    """No picture, but the instruction to choose the word that is ``expected``."""

    kind: Literal["word_check"] = "word_check"
    expected: str


Question = Annotated[Comparison | Recognition | SideCheck | WordCheck, Field(discriminator="kind")]
Form = tuple[Question, ...]


class Key(Record):
    """``study`` is the identity of what participants see; answers say which study they belong to."""

    study: str
    systems: tuple[str, ...]
    max_failed_checks: int
    forms: tuple[Form, ...]


def choices(question: Question) -> tuple[str, ...]:
    """What can be answered."""
    return SIDES if isinstance(question, Comparison | SideCheck) else WORDS


def load_key(root: Path) -> Key:
    """The key of the study in a folder. Raises ``BadInputError``."""
    path = root / KEY_NAME
    try:
        return Key.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInputError(f"{path} is not the key of a study", "Give the folder that `study make` wrote") from error
