"""What samplers are called; apart from the samplers, so that settings can be read without PyTorch."""

from __future__ import annotations

from typing import Literal, get_args

SamplerName = Literal["ddim", "ddpm", "plms", "dpmpp-2m", "unipc"]
"""Those that generate from noise."""
RoundTripName = Literal["ddim", "exact", "dpmpp-2m", "thesis"]
"""Those that invert and come back."""

SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)
