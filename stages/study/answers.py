"""What a participant answered: read, and checked against the key of the study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from stages.common.errors import BadInputError
from stages.study.key import Key, Question, Record, SideCheck, WordCheck, choices

MAX_BYTES = 1 << 20
"""More than the answers to any form take."""


class Answer(Record):
    """``ms`` passed between the question's appearance and the choice."""

    choice: Annotated[str, Field(max_length=20)]
    ms: Annotated[int, Field(ge=0, lt=1 << 53)]


class Answers(Record):
    """The answers to a form, in its order. ``participant`` is a random number that the page drew."""

    schema_version: Literal[1]
    study: str
    form: Annotated[int, Field(ge=0)]
    participant: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    answers: tuple[Answer, ...]


def parse_answers(content: bytes, key: Key, name: Path | str) -> Answers:
    """Answers to every question of a form of this study. Raises ``BadInputError`` that calls them ``name``."""
    try:
        answers = Answers.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "content"
        raise BadInputError(f"{name} does not hold answers: {place}: {problem['msg'].lower()}") from error
    if answers.study != key.study:
        raise BadInputError(f"{name} belongs to another study", "Give the folder of the study that it answers")
    if answers.form >= len(key.forms):
        raise BadInputError(f"{name} answers form {answers.form}, but there are {len(key.forms)}")
    form = key.forms[answers.form]
    if len(answers.answers) != len(form):
        raise BadInputError(f"{name} has {len(answers.answers)} answers to {len(form)} questions")
    for number, (question, answer) in enumerate(zip(form, answers.answers, strict=True), start=1):
        if answer.choice not in choices(question):
            raise BadInputError(f"{name} answers question {number} by {answer.choice!r}")
    return answers


def read_answers(paths: Sequence[Path], key: Key) -> list[Answers]:
    """The answers in files, and in the JSON files of folders. Raises ``BadInputError``, also when there are none."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise BadInputError(f"no answers in {', '.join(map(str, paths))}", "Give what `study serve` or the page saved")
    found = []
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise BadInputError(f"{file} cannot be read: {error.strerror}") from error
        found.append(parse_answers(content, key, file))
    return found


def answered(answers: Answers, key: Key) -> list[tuple[Question, str]]:
    """Every question with the choice."""
    return [(q, a.choice) for q, a in zip(key.forms[answers.form], answers.answers, strict=True)]


def count_failed_checks(answers: Answers, key: Key) -> int:
    return sum(
        choice != question.expected
        for question, choice in answered(answers, key)
        if isinstance(question, SideCheck | WordCheck)
    )
