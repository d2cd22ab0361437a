"""The bound on x0 holds, changes nothing below it, and keeps the latents explained."""

import torch
from support.analytic import from_eps

from stages.models.bound import bound_x0

ABAR = torch.linspace(0.99, 0.01, 1000, dtype=torch.float64)
Z = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_a_large_estimate_is_scaled_to_the_bound_and_still_explains_z():
    predict = from_eps(lambda z, _t: -z, ABAR)
    for power in (0.0, 0.25, 1.0):
        found = bound_x0(predict, ABAR, power, 1.4)(Z, 900)
        rms = found.x0.square().mean(dim=(1, 2, 3)).sqrt()
        torch.testing.assert_close(rms, 1.4 * (ABAR[900] ** (power / 2)).expand(2))
        torch.testing.assert_close(ABAR[900].sqrt() * found.x0 + (1 - ABAR[900]).sqrt() * found.eps, Z)
        plain = predict(Z, 900).x0
        torch.testing.assert_close(
            found.x0 / rms.view(-1, 1, 1, 1), plain / plain.square().mean((1, 2, 3), True).sqrt()
        )


def test_a_small_estimate_stays():
    predict = from_eps(lambda z, t: z / (1 - ABAR[t]).sqrt() * 0.999, ABAR)
    torch.testing.assert_close(bound_x0(predict, ABAR, 0.25, 1.0)(Z, 900).x0, predict(Z, 900).x0)
