"""Put foreign weights into a network, all of them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from stages.common.errors import BadInputError


def load_exactly(network: nn.Module, weights: Mapping[str, Tensor], what: str) -> None:
    """Raises ``BadInputError`` that names the first parameter in which network and checkpoint differ."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise BadInputError(
                f"the checkpoint's {what} is not the one that is described: {name} is "
                f"{found.get(name, 'missing')}, expected {wanted.get(name, 'nothing')}"
            )
    network.load_state_dict(weights)
