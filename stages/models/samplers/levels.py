"""What a sampler asks of a network, and the noise levels that it visits: ascending timesteps, the cleanest first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from stages.models.process import Estimate

Predict = Callable[[Tensor, int], Estimate]
"""The network under its condition and guidance: latents (B, C, H, W) and their level to what is in them."""

LEAST_ABAR = 2.0**-32
"""Stands for 0, the level without any signal, where a finite log signal-to-noise ratio is needed."""
_LAST = 999
LEAST_STRENGTH = 2
"""The least strength from which ``edit_timesteps`` has a step to go."""


def edit_timesteps(strength: int, steps: int) -> list[int]:
    """``steps`` + 1 ascending levels from 1, where clean latents are taken to be, to ``strength``, evenly spaced.

    Levels that round to the same number are merged, so fewer remain as ``steps`` comes near ``strength``; strength 1000
    ends at 999, the last level there is.
    Raises ``ValueError`` unless 1 <= strength <= 1000 and steps > 0.
    """
    _check(strength, steps)
    levels = torch.linspace(0, 1, steps + 1, dtype=torch.float64) * min(strength, _LAST)
    return sorted({max(1, round(float(level))) for level in levels})


def edit_timesteps_of_each(strength_B: Tensor, steps: int) -> Tensor:
    """``edit_timesteps`` for a strength of its own for each sample, int64 (``steps`` + 1, B).

    Levels that round to the same number stay, so that all samples have as many: a step between them changes nothing.
    """
    share_S1 = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=strength_B.device)[:, None]
    return (share_S1 * strength_B.clamp(max=_LAST)).round().long().clamp(min=1)


def thesis_timesteps(strength: int, steps: int) -> list[int]:
    """The levels of the thesis's published code: 0, where clean latents are, then 1 and linspace(0, 1, S) t0 cut down.

    Those are S = ``steps`` network evaluations each way, as with ``edit_timesteps``. Raises ``ValueError`` as it does.
    """
    _check(strength, steps)
    levels = torch.linspace(0, 1, steps, dtype=torch.float64) * strength
    return sorted({0, 1, *(min(int(level), _LAST) for level in levels)})


def log_snr_timesteps(strength: int, steps: int, abar_T: Tensor) -> list[int]:
    """As ``edit_timesteps``, but evenly spaced in lambda = log sqrt(abar / (1 - abar)): denser where little noise is.

    Exponential integrators are at their best over these (DPM-Solver, Lu et al. 2022, section 3.4).
    """
    _check(strength, steps)
    abar_T = abar_T.double().cpu().clamp(min=LEAST_ABAR)
    lambda_T = 0.5 * (abar_T.log() - (1 - abar_T).log())
    last = min(strength, _LAST)
    wanted = torch.lerp(lambda_T[1], lambda_T[last], torch.linspace(0, 1, steps + 1, dtype=torch.float64))
    return sorted({1, last, *(1 + (lambda_T[1 : last + 1, None] - wanted).abs().argmin(dim=0)).tolist()})


def generation_timesteps(steps: int) -> list[int]:
    """0, which counts as clean, and ``steps`` levels from 1 to 999, where latents are all but pure noise.

    500 steps are 1, 3, ..., 999, as in the thesis (4.3.3). Raises ``ValueError`` unless 1 <= steps <= 999.
    """
    if not 1 <= steps <= _LAST:
        raise ValueError("steps must be in 1..999")
    levels = torch.linspace(_LAST, 1, steps, dtype=torch.float64)  # one step starts from the last level
    return [0, *sorted(round(float(level)) for level in levels)]


def descending(timesteps: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The (now, after) of every step towards less noise."""
    return itertools.pairwise(reversed(timesteps))


def _check(strength: int, steps: int) -> None:
    if not 1 <= strength <= 1000 or steps < 1:
        raise ValueError("strength must be in 1..1000 and steps positive")
