"""Which questions a participant is asked, and in which order: random by the seed, and balanced over all forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Generic, TypeVar

import numpy as np

from stages.common.emotions import EDIT_TARGETS
from stages.common.errors import ConfigError
from stages.study.config import StudyConfig
from stages.study.key import Comparison, Form, Question, Recognition, SideCheck, WordCheck

CellT = TypeVar("CellT")
ItemT = TypeVar("ItemT")
Target = str | None


@dataclass(frozen=True, slots=True)
class Dealt(Generic[CellT, ItemT]):
    """One question: a cell (what is studied), an item of it, and whether the two sides of the cell are swapped."""

    cell: CellT
    item: ItemT
    swapped: bool


def deal(
    cells: Sequence[CellT], items: Sequence[ItemT], per_form: int, forms: int, random: np.random.Generator
) -> list[list[Dealt[CellT, ItemT]]]:
    """``per_form`` questions for each form.

    Within a form, and over the first k forms for every k, cells differ by at most one in how often they are asked; the
    sides of a cell differ by at most one over the first k forms. An item of a cell returns only after all its others,
    with its sides swapped, and never within a form. Needs ``per_form <= len(cells) * len(items)``.
    """
    order = random.permutation(len(cells))
    queues = [random.permutation(len(items)) for _ in cells]
    coins = random.integers(0, 2, len(cells))

    def draw(number: int) -> Dealt[CellT, ItemT]:
        turn, place = divmod(number, len(cells))
        cell = order[place]
        round_, position = divmod(turn, len(items))
        # Sides alternate; where that would give an item the same side in every round, rounds alternate too.
        swaps = turn + coins[cell] + (round_ if len(items) % 2 == 0 else 0)
        return Dealt(cells[cell], items[queues[cell][position]], bool(swaps % 2))

    return [[draw(form * per_form + slot) for slot in range(per_form)] for form in range(forms)]


def make_forms(
    config: StudyConfig, targets: Sequence[Target], faces: Sequence[str], systems: Sequence[str], seed: int
) -> list[Form]:
    """All forms of a study of ``faces`` under ``targets``; ``systems`` take part in pairs.

    Raises ``ConfigError`` for more questions than the pictures give.
    """
    random = np.random.default_rng(seed)
    pairs = _pairs(systems, config.reference) if config.realism else []
    pictures = [(target, face) for target in targets for face in faces]
    cells = [(system, target) for system in config.targets for target in targets if target]
    _require(config.realism, len(pairs) * len(pictures), "realism")
    _require(config.emotions, len(cells) * len(faces), "emotions")
    compared = deal(pairs, pictures, config.realism, config.forms, random)
    recognised = deal(cells, faces, config.emotions, config.forms, random)
    checked = deal(("left",), faces, config.checks, config.forms, random)
    words = deal(EDIT_TARGETS, ("",), config.checks, config.forms, random)
    forms = []
    for number in range(config.forms):
        blocks: list[list[Question]] = [[], []]
        if config.realism:
            blocks[0] = [_compare(dealt) for dealt in compared[number]]
            blocks[0] += [SideCheck(expected="right" if d.swapped else "left", face=d.item) for d in checked[number]]
        if config.emotions:
            blocks[1] = [Recognition(system=d.cell[0], target=d.cell[1], face=d.item) for d in recognised[number]]
            blocks[1] += [WordCheck(expected=d.cell) for d in words[number]]
        shuffled = [[block[i] for i in random.permutation(len(block))] for block in blocks]
        first = number % 2  # half of the participants begin with emotions
        forms.append((*shuffled[first], *shuffled[1 - first]))
    return forms


def word_orders(forms: int, seed: int) -> list[tuple[str, ...]]:
    """The order in which a form offers the six emotions: of six forms in a row, each has every emotion elsewhere."""
    words = [EDIT_TARGETS[i] for i in np.random.default_rng([seed, 1]).permutation(len(EDIT_TARGETS))]
    return [tuple(words[(i + form) % len(words)] for i in range(len(words))) for form in range(forms)]


def choose_faces(names: Sequence[str], count: int | None, seed: int) -> list[str]:
    """So many of the names, drawn by the seed, in their order. Raises ``ConfigError`` for more than there are."""
    if count is None:
        return list(names)
    _require(count, len(names), "faces")
    return [names[i] for i in sorted(np.random.default_rng([seed, 2]).permutation(len(names))[:count])]


def _pairs(systems: Sequence[str], reference: str | None) -> list[tuple[str, str]]:
    if reference is not None and reference not in systems:
        raise ConfigError(f"reference {reference!r} is not one of the systems", f"Known: {', '.join(systems)}")
    return [pair for pair in combinations(systems, 2) if reference is None or reference in pair]


def _compare(dealt: Dealt[tuple[str, str], tuple[Target, str]]) -> Comparison:
    left, right = dealt.cell[::-1] if dealt.swapped else dealt.cell
    target, face = dealt.item
    return Comparison(left=left, right=right, target=target, face=face)


def _require(wanted: int, available: int, setting: str) -> None:
    if wanted > available:
        raise ConfigError(
            f"{setting} is {wanted}, but these folders give {available}", f"Set {setting} to at most {available}"
        )
