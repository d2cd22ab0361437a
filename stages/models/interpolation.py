"""Ways between two latents."""

from __future__ import annotations

import torch
from torch import Tensor


def slerp(a_CHW: Tensor, b_CHW: Tensor, weights_N: Tensor) -> Tensor:
    """Spherical interpolation (N, C, H, W) (Shoemake 1985): sin((1 - w) phi) / sin phi a + sin(w phi) / sin phi b.

    phi is the angle between the two as vectors; where it is next to 0 or to half a turn, the way is a straight line.
    """
    a, b = a_CHW.double().flatten(), b_CHW.double().flatten()
    phi = torch.acos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    w = weights_N.double().to(a.device).view(-1, 1)
    if torch.sin(phi) < 1e-4:
        mixed = (1 - w) * a + w * b
    else:
        mixed = (torch.sin((1 - w) * phi) * a + torch.sin(w * phi) * b) / torch.sin(phi)
    return mixed.to(a_CHW.dtype).view(-1, *a_CHW.shape)
