"""What participants of a study are asked, and how many of them there are."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator, model_validator

from stages.common.config import StageConfig
from stages.common.emotions import parse_emotion

_INTRO = (
    "You will see pictures of faces. Some are photos, and some were changed by a computer program. In one part, please "
    "say which of two pictures looks more real; in the other, which emotion a face shows. Now and then a question only "
    "checks that you are looking. Taking part is voluntary, and you can close the page at any time: nothing is sent "
    "unless you finish. Your answers, and how long each took, are kept under a random number; nobody asks who you are."
)


class StudyConfig(StageConfig):
    """``targets`` says for each system by name which emotion its pictures show; None: one folder for each emotion.

    There are ``forms`` questionnaires, each with ``realism`` pairs of pictures, ``emotions`` single ones, and
    ``checks`` attention checks beside each kind; who fails more than ``max_failed_checks`` of them is left out of the
    results. ``faces``: so many of the sources, drawn by the seed. ``reference``: only pairs with this system, as in the
    thesis's table 4.6. ``with_source``: the unedited pictures take part in pairs.
    """

    targets: Mapping[str, str | None]
    forms: int = Field(default=24, ge=1, le=10_000)
    realism: int = Field(default=28, ge=0)
    emotions: int = Field(default=30, ge=0)
    checks: int = Field(default=2, ge=0)
    max_failed_checks: int = Field(default=1, ge=0)
    faces: int | None = Field(default=None, ge=1)
    reference: str | None = None
    with_source: bool = True
    title: str = "Faces and emotions"
    intro: str = _INTRO

    @field_validator("targets")
    @classmethod
    def _canonical(cls, value: Mapping[str, str | None]) -> Mapping[str, str | None]:
        return {name: parse_emotion(target) if target else None for name, target in value.items()}

    @model_validator(mode="after")
    def _check_questions(self) -> StudyConfig:
        if not self.realism + self.emotions:
            raise ValueError("realism and emotions are both 0: there is nothing to ask")
        return self
