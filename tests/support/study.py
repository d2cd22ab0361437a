"""Pictures to make a small study of, and participants who answer it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from stages.study.key import Key, Question, SideCheck, WordCheck

NAMES = ("a.png", "b.jpg", "c.png")


def write_pictures(folder: Path, shade: int, names: tuple[str, ...] = NAMES, size_px: int = 20) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng([shade, number]).integers(0, 256, (size_px, size_px, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def write_systems(root: Path) -> Path:
    """``source``, and the systems ``ours`` and ``other`` with a folder for each of two emotions."""
    for shade, name in enumerate(("source", "ours/happy", "ours/sad", "other/happiness", "other/sad")):
        write_pictures(root / name, shade)
    return root


def answer_form(
    key: Key, form: int, decide: Callable[[Question], str], participant: int = 0, failed_checks: int = 0
) -> bytes:
    """What the page sends for a participant who decides so, and fails so many attention checks."""
    choices = []
    for question in key.forms[form]:
        if isinstance(question, SideCheck | WordCheck):
            wrong = {"left": "right", "right": "left"}.get(question.expected, "none")
            choices.append(wrong if failed_checks > 0 else question.expected)
            failed_checks -= 1
        else:
            choices.append(decide(question))
    content = {
        "schema_version": 1,
        "study": key.study,
        "form": form,
        "participant": f"{participant:032x}",
        "answers": [{"choice": choice, "ms": 900} for choice in choices],
    }
    return json.dumps(content).encode()
