"""Classifier-free guidance (Ho and Salimans 2021), in the thesis's convention."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from stages.models.condition import Context
from stages.models.process import Estimate, ForwardProcess
from stages.models.samplers import Predict

ContextT = TypeVar("ContextT", Tensor, Context)


class Conditional(Protocol[ContextT]):
    """A network under contexts of B samples, one of which stands for nothing in particular."""

    def null_context(self, count: int) -> ContextT: ...

    def predict(self, z_BCHW: Tensor, timesteps_B: Tensor, context: ContextT, /) -> Tensor: ...


def classifier_free_guidance(
    denoiser: Conditional[ContextT],
    process: ForwardProcess,
    context: ContextT,
    guidance_scale_B: Tensor,
    *,
    negative_context: ContextT | None = None,
    guided_levels: tuple[int, int] | None = None,
) -> Predict:
    """eps = (1 - g) eps(null) + g eps(c), with a context and a scale for each sample; g = 1 is the conditional model.

    ``negative_context`` takes the place of null's: mixed towards c and away from another. ``guided_levels`` (first
    and last timestep) takes g as 1 at all others (Kynkaanniemi et al. 2024). Outputs that stand for x0 or v are mixed
    alike: at one step all three are linear in one another. A learned variance is not guided: it is that of the
    conditional branch, as mixed ones would leave their range. Where every g is 1 the other branch is not evaluated.
    """
    if negative_context is None:
        negative_context = denoiser.null_context(len(context))
    contexts = _join(negative_context, context)
    scale = guidance_scale_B.view(-1, 1, 1, 1)
    plain = bool((guidance_scale_B == 1).all())

    def predict(z_BCHW: Tensor, t: int) -> Estimate:
        timesteps_B = torch.full((len(z_BCHW),), t, device=z_BCHW.device)
        if plain or (guided_levels is not None and not guided_levels[0] <= t <= guided_levels[1]):
            return process.estimate(denoiser.predict(z_BCHW, timesteps_B, context), z_BCHW, timesteps_B)
        both: Tensor = denoiser.predict(z_BCHW.repeat(2, 1, 1, 1), timesteps_B.repeat(2), contexts)
        away, conditional = both.chunk(2)
        channels = z_BCHW.shape[1]
        guided = (1 - scale) * away[:, :channels] + scale * conditional[:, :channels]
        return process.estimate(torch.cat([guided, conditional[:, channels:]], dim=1), z_BCHW, timesteps_B)

    return predict


def _join(first: Any, second: Any) -> Any:
    return Context.cat([first, second]) if isinstance(first, Context) else torch.cat([first, second])
