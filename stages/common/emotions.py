"""Emotion names, in AffectNet's order, and what people call them."""

from __future__ import annotations

import difflib

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
