"""What a denoiser is trained to minimise: L_simple, weighted or not, and the variational bound."""

from __future__ import annotations

from torch import Tensor, nn

from stages.ldm.config import LdmConfig
from stages.models.condition import Condition
from stages.models.losses import simple_loss
from stages.models.process import Estimate, forward_process
from stages.models.variational import ReverseProcess

PIXEL_BIN = 2 / 255


class Objective:
    """The loss of a batch of clean latents (B, C, H, W), or of pictures when they are what is denoised."""

    def __init__(self, config: LdmConfig, *, of_pictures: bool, device: str) -> None:
        self.process = forward_process(config.schedule).to(device)
        self._reverse = ReverseProcess(self.process, PIXEL_BIN if of_pictures else None)
        self._config = config

    def __call__(
        self, network: nn.Module, z0: Tensor, noise: Tensor, timesteps_B: Tensor, condition: Condition
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to descend, and what it is made of: ``loss`` (L_simple) and ``vlb`` (bits a dimension)."""
        z_t = self.process.add_noise(z0, noise, timesteps_B)
        output = network(z_t, timesteps_B, condition).float()
        predicted = output[:, : z0.shape[1]]
        gamma = self._config.min_snr_gamma
        weight_B = None if gamma is None else self.process.min_snr_weight(timesteps_B, gamma)
        simple = simple_loss(predicted, self.process.target(z0, noise, timesteps_B), weight_B)
        if not self._config.vlb_weight:
            return simple, {"loss": simple}
        estimate = self.process.estimate(output, z_t, timesteps_B)
        if estimate.variance_fraction is not None:
            estimate = Estimate(estimate.x0.detach(), estimate.eps.detach(), estimate.variance_fraction)
        # One step drawn at random stands for the sum over all of them.
        vlb = len(self.process.abar_T) * self._reverse.bound_terms(estimate, z0, z_t, timesteps_B).mean()
        return simple + self._config.vlb_weight * vlb, {"loss": simple, "vlb": vlb}
