"""How often each face is drawn: rare expressions and rare appearances more often than they occur."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from stages.common.expressions import Expressions
from stages.common.face.expression import COEFFICIENTS

_CLUSTERS = 24
_COMMON = ("eyeLook", "eyeBlink", "mouthSmile")
_RARE = [index for index, name in enumerate(COEFFICIENTS) if not name.startswith(_COMMON)]


def expression_weights(expressions: Expressions, usual_K: NDArray[np.float32], strength: float) -> NDArray[np.float64]:
    """Weights (N,): 1 + ``strength`` times the mean square of the coefficients in units of what is usual.

    Smiles, glances and blinks are common and do not count.
    """
    scaled = np.nan_to_num(expressions.coefficients_NK / usual_K).clip(0, 1.5)
    return np.asarray(1 + strength * (scaled[:, _RARE] ** 2).mean(axis=1), np.float64)


def appearance_weights(expressions: Expressions, balance: float) -> NDArray[np.float64]:
    """Weights (N,) that give groups of like faces, found among the identities, shares proportional to n^(1 - balance).

    Nobody's sex, age or origin is labelled: people who look alike are simply seen less often than they occur.
    """
    identities = np.nan_to_num(expressions.identities_ND.astype(np.float64))
    _, cluster = kmeans2(identities, min(_CLUSTERS, len(identities)), minit="++", seed=0)
    counts = np.bincount(cluster).astype(np.float64)
    return np.asarray(counts[cluster] ** -balance)
