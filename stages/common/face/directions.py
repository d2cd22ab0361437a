"""Emotions, action units, valence and arousal as changes of expression coefficients.

Amounts count in units of what is usual (``ExpressionBasis.usual_K``, a coefficient's 97th percentile). Sources: EMFACS
for the action units of emotions (Friesen and Ekman 1983), FACS and ARKit's descriptions for their coefficients, and the
circumplex of affect (Russell 1980) for valence and arousal. Shapes: K coefficients.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stages.common.emotions import EMOTIONS
from stages.common.errors import ConfigError
from stages.common.face.expression import COEFFICIENTS

Floats = NDArray[np.float32]

_EMOTIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "happy": {
        "mouthSmile": 1.0,
        "cheekSquint": 0.6,
        "eyeSquint": 0.2,
        "mouthUpperUp": 0.6,
        "mouthLowerDown": 0.5,
        "mouthStretch": 0.3,
    },
    "sad": {"browInnerUp": 1.9, "mouthFrown": 1.5, "mouthShrugLower": 0.5, "mouthPucker": -0.3},
    "surprise": {"browInnerUp": 1.5, "browOuterUp": 1.3, "eyeWide": 2.5, "jawOpen": 1.25, "browDown": -1.0},
    "fear": {
        "browInnerUp": 1.7,
        "browOuterUp": 0.6,
        "eyeWide": 3.5,
        "jawOpen": 0.3,
        "mouthStretch": 1.0,
        "mouthLowerDown": 0.5,
    },
    "disgust": {"noseSneer": 0.8, "browDown": 0.8, "mouthUpperUp": 1.0, "eyeSquint": 0.3, "cheekSquint": 0.3},
    "anger": {"browDown": 1.1, "eyeSquint": 0.3, "mouthPress": 0.8, "noseSneer": 0.3},
    "contempt": {"mouthSmileRight": 0.6, "mouthDimpleRight": 1.0, "mouthPressRight": 0.5},
}
_ACTION_UNITS: Mapping[int, Mapping[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp": 1.0},
    4: {"browDown": 1.0},
    5: {"eyeWide": 1.0},
    6: {"cheekSquint": 1.0, "eyeSquint": 0.4},
    7: {"eyeSquint": 1.0},
    9: {"noseSneer": 1.0},
    10: {"mouthUpperUp": 1.0},
    12: {"mouthSmile": 1.0},
    14: {"mouthDimple": 1.0},
    15: {"mouthFrown": 1.0},
    16: {"mouthLowerDown": 1.0},
    17: {"mouthShrugLower": 1.0},
    18: {"mouthPucker": 1.0},
    20: {"mouthStretch": 1.0},
    22: {"mouthFunnel": 1.0},
    23: {"mouthPress": 0.7, "mouthRollLower": 0.5, "mouthRollUpper": 0.5},
    24: {"mouthPress": 1.0},
    25: {"mouthLowerDown": 0.5, "mouthUpperUp": 0.3, "jawOpen": 0.15},
    26: {"jawOpen": 0.7},
    27: {"jawOpen": 1.3},
    28: {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    43: {"eyeBlink": 1.0},
}
ACTION_UNITS = tuple(_ACTION_UNITS)
_CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "happy": (0.8, 0.4),
    "sad": (-0.7, -0.4),
    "surprise": (0.2, 0.8),
    "fear": (-0.6, 0.8),
    "disgust": (-0.7, 0.3),
    "anger": (-0.6, 0.7),
    "contempt": (-0.5, 0.1),
}
"""Valence and arousal of each emotion, -1..1."""
_KEPT = ("eyeLook", "eyeBlink")


def emotion_direction(emotion: str) -> Floats:
    """The change (K,) from a face at rest to an emotion."""
    return _vector(_EMOTIONS[emotion])


def unit_direction(name: str) -> Floats:
    """The change (K,) of an action unit such as "AU12", or of one side of it, "AU12L". Raises ``ConfigError``."""
    match = re.fullmatch(r"(?:AU)?(\d+)([LR]?)", name.strip(), re.IGNORECASE)
    number = int(match[1]) if match else -1
    if match is None or number not in _ACTION_UNITS:
        known = ", ".join(f"AU{unit}" for unit in ACTION_UNITS)
        raise ConfigError(f"unknown action unit {name!r}", f"Known: {known}; with L or R for one side")
    side = {"L": "Left", "R": "Right", "": ""}[match[2].upper()]
    parts = _ACTION_UNITS[number]
    return _vector({part + side if side and part not in COEFFICIENTS else part: v for part, v in parts.items()})


def affect_direction(valence: float, arousal: float) -> Floats:
    """The change (K,) that raises valence and arousal by so much: the emotions' directions regressed on both."""
    plane_EV = np.array([_CIRCUMPLEX[emotion] for emotion in EMOTIONS])
    directions_EK = np.stack([emotion_direction(emotion) for emotion in EMOTIONS])
    weights_VK = np.linalg.lstsq(plane_EV, directions_EK, rcond=None)[0]
    return np.asarray(np.array([valence, arousal]) @ weights_VK, np.float32)


def affect_of(expression_K: Floats) -> tuple[float, float]:
    """Valence and arousal, about -1..1, that a change from rest (K,) in units of what is usual comes nearest to."""
    basis_VK = np.stack([affect_direction(1, 0), affect_direction(0, 1)])
    valence, arousal = np.linalg.lstsq(basis_VK.T, expression_K, rcond=None)[0]
    return float(np.clip(valence, -1, 1)), float(np.clip(arousal, -1, 1))


def coefficient_names(name: str) -> tuple[str, ...]:
    """One coefficient, or both sides of one ("mouthSmile"). Raises ``ConfigError`` with the nearest name."""
    both = tuple(name + side for side in ("Left", "Right") if name + side in COEFFICIENTS)
    if name in COEFFICIENTS or both:
        return both or (name,)
    near = difflib.get_close_matches(name, COEFFICIENTS, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else "`facediff expression` lists them"
    raise ConfigError(f"unknown coefficient {name!r}", hint)


def rested(own_K: Floats, rest_K: Floats) -> Floats:
    """A face's coefficients (K,) when its expression is taken away; gaze and blink stay."""
    return np.asarray(np.where(gaze_or_blink(), own_K, np.minimum(own_K, rest_K)), np.float32)


def gaze_or_blink() -> NDArray[np.bool_]:
    """Which coefficients (K,) say where somebody looks and whether the eyes are shut: no emotion changes them."""
    return np.array([name.startswith(_KEPT) for name in COEFFICIENTS])


def _vector(parts: Mapping[str, float]) -> Floats:
    vector = np.zeros(len(COEFFICIENTS), np.float32)
    for part, amount in parts.items():
        for name in coefficient_names(part):
            vector[COEFFICIENTS.index(name)] += amount
    return vector
