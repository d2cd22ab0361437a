"""How far sound lags behind the mouth, from landmarks and loudness alone. No network, no learned notion of speech."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.media.sound import SAMPLE_RATE_HZ

LONGEST_LAG_S = 0.4
_QUIET = 1e-4
_DYNAMICS = 2
"""What is more than so many powers of ten (40 dB) below the loudest frame counts as equally silent."""
_STILL = 1e-6


@dataclass(frozen=True, slots=True)
class Lag:
    """``lag_ms`` is positive where the sound comes after the mouth. ``correlation`` is that at the lag, and
    ``peak_ratio`` how often it is the next best peak's: about 1 means that the lag is a guess."""

    lag_ms: float
    correlation: float
    peak_ratio: float


def loudness(samples: NDArray[np.float32], frames: int, fps: float) -> NDArray[np.float64]:
    """The logarithm of the sound's level in each frame (T,)."""
    edges = np.rint(np.arange(frames + 1) * SAMPLE_RATE_HZ / fps).astype(int)
    power = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    at = np.minimum(edges, len(samples))
    mean = np.diff(power[at]) / np.maximum(np.diff(at), 1)
    level = np.log10(np.sqrt(np.maximum(mean, 0)) + _QUIET)
    return np.asarray(np.maximum(level, level.max() - _DYNAMICS))


def find_lag(opening_T: NDArray[np.floating], loudness_T: NDArray[np.floating], fps: float) -> Lag:
    """The lag of the largest correlation, within ``LONGEST_LAG_S``, of how mouth opening and loudness change.

    r(k) = corr(m'_t, e'_{t+k}) over the frames that both have; a parabola through its neighbours refines the peak.
    Raises ``BadInputError`` with reason "too short", "mouth does not move" or "silent".
    """
    reach = round(LONGEST_LAG_S * fps)
    if len(opening_T) < 4 * reach:
        raise BadInputError(f"{len(opening_T)} frames are too few to find a lag", reason="too short")
    if np.std(opening_T) < _STILL:
        raise BadInputError("the mouth does not move", reason="mouth does not move")
    if np.std(loudness_T) < _STILL:
        raise BadInputError("the sound is silence", reason="silent")
    changes = np.gradient(opening_T), np.gradient(loudness_T)
    correlations = np.array([_correlate(*changes, k) for k in range(-reach, reach + 1)])
    best = int(correlations.argmax())
    lag = best - reach + _vertex(correlations, best)
    return Lag(1000 * lag / fps, float(correlations[best]), _ratio(correlations, best))


def _correlate(a_T: NDArray[np.floating], b_T: NDArray[np.floating], k: int) -> float:
    length = len(a_T)
    a, b = a_T[max(0, -k) : length - max(0, k)], b_T[max(0, k) : length + min(0, k)]
    if min(np.std(a), np.std(b)) < _STILL:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _vertex(values: NDArray[np.float64], at: int) -> float:
    """Where the parabola through a peak and its neighbours is highest, from the peak; 0 at the ends."""
    if at in (0, len(values) - 1):
        return 0.0
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0


def _ratio(values: NDArray[np.float64], best: int) -> float:
    """The peak over the next highest local maximum (or the end of the range); at least 1, at most 10."""
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    peaks = (padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])
    peaks[best] = False
    rivals = values[peaks]
    rival = max(float(rivals.max()), 0.0) if rivals.size else 0.0
    return float(np.clip(values[best] / rival, 1, 10)) if rival > 0 else 10.0
