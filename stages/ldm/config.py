"""Settings of latent-diffusion training."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.denoiser import DenoiserConfig
from stages.models.schedule import ScheduleConfig


class PartDropout(StageConfig):
    """How often one part alone of what the network is told is unknown in training."""

    labels: float = Field(default=0.0, ge=0, lt=1)
    coefficients: float = Field(default=0.0, ge=0, lt=1)
    identity: float = Field(default=0.0, ge=0, lt=1)
    geometry: float = Field(default=0.0, ge=0, lt=1)


class LdmConfig(StageConfig):
    """Defaults are the thesis's (4.3.3). ``class_balance`` as in ``SampleOrder``.

    ``min_snr_gamma`` weights L_simple by the signal-to-noise ratio (5 is usual); None leaves it unweighted.
    ``vlb_weight`` adds that much of the variational bound in bits a dimension; where the network learns the variance,
    the bound trains nothing else (L_hybrid of Nichol and Dhariwal 2021, eq. 16, with 0.001).

    Emotions with fewer than ``min_class_samples`` training samples are trained on without their label and are not
    offered for editing.
    """

    network: DenoiserConfig = DenoiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    loop: LoopConfig = LoopConfig(steps=360_000, batch_size=24, learning_rate=2.4e-5, validate_every=5000)
    min_snr_gamma: float | None = Field(default=None, gt=0)
    vlb_weight: float = Field(default=0.0, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    unconditional_probability: float = Field(default=0.2, ge=0, lt=1)
    class_balance: float = Field(default=0.0, ge=0, le=1)
    min_class_samples: int = Field(default=0, ge=0)
    dropout: PartDropout = PartDropout()
    """Besides ``unconditional_probability``, with which all that tells of the expression is unknown."""
    expression_balance: float = Field(default=0.0, ge=0)
    """How much more often faces with strong expressions are drawn (``expression_weights``)."""
    appearance_balance: float = Field(default=0.0, ge=0, le=1)
    """How evenly groups of people who look alike are drawn (``appearance_weights``)."""
    ema_decay: float = Field(default=0.9999, gt=0, lt=1)
    ema_warmup: bool = False
