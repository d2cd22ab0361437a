"""What CLIP is told of a picture: an expression, in 79 phrasings, so that no single wording decides."""

from __future__ import annotations

import itertools

from stages.common.emotions import EMOTIONS

_QUALITIES = (
    "plain",
    "sharp",
    "blurred",
    "bright",
    "dark",
    "colourful",
    "grey",
    "close-up",
    "cropped",
    "grainy",
    "well-lit",
    "small",
    "large",
)
_KINDS = ("photo", "picture", "portrait", "snapshot", "drawing", "video frame")
TEMPLATES = ("{}", *(f"{quality} {kind} of the {{}}" for quality, kind in itertools.product(_QUALITIES, _KINDS)))

_WORDS = {
    "happy": "happy face",
    "sad": "sad face",
    "surprise": "surprised face",
    "fear": "scared face",
    "disgust": "disgusted face",
    "anger": "angry face",
}


def emotion_text(emotion: str) -> str:
    """What stands for an emotion (thesis 4.5.2); neutral and contempt are just a face."""
    return _WORDS.get(emotion, "face")


def phrasings(emotion: str) -> list[str]:
    return [template.format(emotion_text(emotion)) for template in TEMPLATES]


def all_phrasings() -> list[list[str]]:
    """Those of every emotion, in the order of ``EMOTIONS``."""
    return [phrasings(emotion) for emotion in EMOTIONS]
