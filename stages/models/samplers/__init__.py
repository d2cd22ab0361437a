"""Samplers, forwards in noise (inversion) and back, over one kind of network: ``Predict``.

Every function visits given noise levels, ascending ``timesteps`` of a process with cumulative products ``abar_T``, and
keeps no gradients. Which level is taken as clean is the business of whoever makes the levels (``levels``).
"""

from __future__ import annotations

from stages.models.samplers.ddim import ddim_invert, ddim_move, ddim_sample
from stages.models.samplers.exact import ddim_invert_implicit
from stages.models.samplers.levels import (
    LEAST_STRENGTH,
    Predict,
    edit_timesteps,
    edit_timesteps_of_each,
    generation_timesteps,
    log_snr_timesteps,
    thesis_timesteps,
)
from stages.models.samplers.multistep import dpmpp_2m_invert, dpmpp_2m_sample, plms_sample
from stages.models.samplers.named import EXACT_ITERATIONS, ROUND_TRIPS, RoundTrip, sample, sampler_timesteps
from stages.models.samplers.noise import SampleNoise
from stages.models.samplers.unipc import unipc_sample

__all__ = [
    "EXACT_ITERATIONS",
    "LEAST_STRENGTH",
    "ROUND_TRIPS",
    "Predict",
    "RoundTrip",
    "SampleNoise",
    "ddim_invert",
    "ddim_invert_implicit",
    "ddim_move",
    "ddim_sample",
    "dpmpp_2m_invert",
    "dpmpp_2m_sample",
    "edit_timesteps",
    "edit_timesteps_of_each",
    "generation_timesteps",
    "log_snr_timesteps",
    "plms_sample",
    "sample",
    "sampler_timesteps",
    "thesis_timesteps",
    "unipc_sample",
]
