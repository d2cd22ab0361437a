"""Which parts of a clip a step of training reads: spans of words at first, whole clips in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

_EARLY = 0.15
"""Until this share of the steps (or of what ``spans_until`` leaves) no clip is read whole."""
_MARGIN_S = 0.08
"""So much of a word's neighbours a span may show."""
_SILENCE_S = 0.2
"""So much silence before the first word of a clip, and after the last."""


@dataclass(frozen=True, slots=True)
class Span:
    """Frames ``start`` to ``end`` (exclusive) of a clip, and what is said in them."""

    start: int
    end: int
    text: str


def span_words(progress: float, until: float, longest: int, random: np.random.Generator) -> int | None:
    """How many words the spans of a step have, ``progress`` of the way through training; None for whole clips."""
    early = _EARLY * until
    whole = 1.0 if progress >= until else max(0.0, (progress - early) / (until - early))
    if random.random() < whole:
        return None
    grown = 1 + math.floor(progress / max(early, 1e-9) * longest)
    return int(random.integers(1, min(grown, longest) + 1))


def cut_spans(facts: Mapping[str, Any], frames: int, words: int | None, random: np.random.Generator) -> list[Span]:
    """A clip cut into spans of so many words, the last of what is left, with random margins.

    Without a number of words it is whole but for some of the silence at its ends; without times it is as it is.
    """
    said: Sequence[Mapping[str, Any]] = facts["words"]
    if not said:
        return [Span(0, frames, facts["text"])]
    fps = facts["fps"]
    if words is None:
        start, end = said[0]["start_s"] * random.random(), said[-1]["end_s"] * fps
        last = frames - math.floor((frames - end) * random.random())
        # Times may lie past the last frame.
        return [Span(min(math.floor(start * fps), frames - 1), last, facts["text"])]
    spans = []
    for first in range(0, len(said), words):
        group = said[first : first + words]
        before = _SILENCE_S if first == 0 else _MARGIN_S
        after = _SILENCE_S if first + words >= len(said) else _MARGIN_S
        start = math.floor((group[0]["start_s"] - before * random.random()) * fps)
        end = math.ceil((group[-1]["end_s"] + after * random.random()) * fps)
        text = " ".join(word["word"] for word in group)
        start = max(0, start)
        # CTC needs a frame a letter, and one between two that are the same.
        end = min(frames, max(end, start + _frames_needed(text)))
        spans.append(Span(max(0, min(start, end - _frames_needed(text))), end, text))
    return spans


def _frames_needed(text: str) -> int:
    return len(text) + sum(a == b for a, b in pairwise(text))
