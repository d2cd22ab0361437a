"""The samplers by name: those that generate from noise, and the pairs that invert and come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from stages.models.sampler_names import RoundTripName, SamplerName
from stages.models.samplers.ddim import ddim_invert, ddim_sample
from stages.models.samplers.exact import ddim_invert_implicit
from stages.models.samplers.levels import (
    Predict,
    edit_timesteps,
    generation_timesteps,
    log_snr_timesteps,
    thesis_timesteps,
)
from stages.models.samplers.multistep import dpmpp_2m_invert, dpmpp_2m_sample, plms_sample
from stages.models.samplers.unipc import unipc_sample

Move = Callable[[Predict, Tensor, Sequence[int], Tensor], Tensor]
"""Takes latents from one end of ascending timesteps to the other."""

EXACT_ITERATIONS = 5
_DETERMINISTIC: Mapping[str, Move] = {"plms": plms_sample, "dpmpp-2m": dpmpp_2m_sample, "unipc": unipc_sample}


def sampler_timesteps(name: SamplerName, steps: int, abar_T: Tensor) -> list[int]:
    """The ``steps`` levels from pure noise down, and 0, that suit a sampler: ``generation_timesteps``, or in log SNR.

    Levels that round to the same number are merged. Raises ``ValueError`` unless 1 <= steps <= 999.
    """
    even = generation_timesteps(steps)
    if name not in {"dpmpp-2m", "unipc"} or steps == 1:
        return even
    return [0, *log_snr_timesteps(even[-1], steps - 1, abar_T)]


def sample(
    name: SamplerName,
    predict: Predict,
    z_BCHW: Tensor,
    timesteps: Sequence[int],
    abar_T: Tensor,
    *,
    eta: float = 0.0,
    noise: Callable[[], Tensor] | None = None,
) -> Tensor:
    """Denoise ``z_BCHW`` from the last to the first of ascending ``timesteps``.

    ``eta`` is DDIM's alone; "ddpm", ancestral sampling, is DDIM with eta 1 over any levels (DDIM, section 4.1).
    """
    if name in _DETERMINISTIC:
        return _DETERMINISTIC[name](predict, z_BCHW, timesteps, abar_T)
    return ddim_sample(predict, z_BCHW, timesteps, abar_T, eta=1.0 if name == "ddpm" else eta, noise=noise)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A way into noise and one back over the levels ``timesteps(strength, steps, abar_T)``."""

    timesteps: Callable[[int, int, Tensor], list[int]]
    invert: Move
    sample: Move


def _in_time(levels: Callable[[int, int], list[int]]) -> Callable[[int, int, Tensor], list[int]]:
    return lambda strength, steps, _abar_T: levels(strength, steps)


ROUND_TRIPS: Mapping[RoundTripName, RoundTrip] = {
    "ddim": RoundTrip(_in_time(edit_timesteps), ddim_invert, ddim_sample),
    "exact": RoundTrip(
        _in_time(edit_timesteps), partial(ddim_invert_implicit, iterations=EXACT_ITERATIONS), ddim_sample
    ),
    "dpmpp-2m": RoundTrip(log_snr_timesteps, dpmpp_2m_invert, dpmpp_2m_sample),
    "thesis": RoundTrip(_in_time(thesis_timesteps), partial(ddim_invert_implicit, iterations=1), ddim_sample),
}
"""``steps`` evaluations each way, but ``EXACT_ITERATIONS`` times as many on the way there for "exact"."""
