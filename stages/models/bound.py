"""A network's estimate of clean latents, kept within what clean latents can be."""

from __future__ import annotations

from torch import Tensor

from stages.models.process import Estimate
from stages.models.samplers import Predict


def bound_x0(predict: Predict, abar_T: Tensor, power: float, data_rms: float) -> Predict:
    """Scale each sample's x0 down to a root mean square of at most ``data_rms`` abar^(power / 2); eps follows from it.

    At nearly pure noise x0 = (z - sigma eps) / sqrt(abar) multiplies whatever error there is in eps. The best estimate
    of x0, its posterior mean, is never larger than the data (power 0), whose latents have a root mean square of at most
    ``data_rms``; were they Gaussian and independent, it would have just the bound of power 1.
    """

    def bounded(z_BCHW: Tensor, t: int) -> Estimate:
        estimate, abar = predict(z_BCHW, t), abar_T[t]
        x0 = estimate.x0
        size = x0.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        x0 = x0 * (data_rms * abar ** (power / 2) / size).clamp(max=1)
        return Estimate(x0, (z_BCHW - abar.sqrt() * x0) / (1 - abar).sqrt(), estimate.variance_fraction)

    return bounded
