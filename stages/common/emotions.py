"""Emotion names, in AffectNet's order, and what people call them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping

from stages.common.errors import ConfigError

EMOTIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
EDIT_TARGETS = ("happy", "sad", "surprise", "fear", "disgust", "anger")
"""The thesis's six: all but neutral and contempt."""
NULL_CLASS = len(EMOTIONS)
"""Index of the extra embedding that stands for "no condition" in classifier-free guidance."""

_SYNONYMS = {
    "calm": "neutral",
    "happiness": "happy",
    "joy": "happy",
    "smile": "happy",
    "sadness": "sad",
    "unhappy": "sad",
    "surprised": "surprise",
    "fearful": "fear",
    "scared": "fear",
    "afraid": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "contemptuous": "contempt",
}


def parse_emotion(text: str) -> str:
    """The canonical name of an emotion or a synonym. Raises ``ConfigError`` with the nearest name otherwise."""
    word = text.strip().lower()
    if word in EMOTIONS:
        return word
    if word in _SYNONYMS:
        return _SYNONYMS[word]
    near = difflib.get_close_matches(word, [*EMOTIONS, *_SYNONYMS], n=1)
    hint = f"Did you mean {near[0]}?" if near else "Known: " + ", ".join(EMOTIONS)
    raise ConfigError(f"unknown emotion {text!r}", hint)


def emotion_index(text: str) -> int:
    return EMOTIONS.index(parse_emotion(text))


def parse_mixture(text: str) -> dict[str, float]:
    """Weights of emotions that add up to 1, of ``happy``, ``happy,surprise`` (alike) or ``happy:0.7,surprise:0.3``.

    Raises ``ConfigError`` for an unknown or repeated emotion and for a weight that is no positive number.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, separator, number = part.partition(":")
        emotion = parse_emotion(name)
        if emotion in weights:
            raise ConfigError(f"{text!r} names {emotion} twice")
        weights[emotion] = _weight(number, text) if separator else 1.0
    total = sum(weights.values())
    return {emotion: weight / total for emotion, weight in weights.items()}


def format_mixture(weights: Mapping[str, float]) -> str:
    """What ``parse_mixture`` reads; one emotion alone is its name."""
    if len(weights) == 1:
        return next(iter(weights))
    return ",".join(f"{emotion}:{weight:.4g}" for emotion, weight in weights.items())


def _weight(text: str, mixture: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise ConfigError(f"{text.strip()!r} in {mixture!r} is not a weight", "Write happy:0.7,surprise:0.3")
    return weight
