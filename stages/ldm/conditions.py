"""What the denoiser is told of each training face."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.expressions import Expressions
from stages.common.face.expression import mirrored_names
from stages.common.face.geometry import draw_geometry
from stages.common.shards import ShardDataset
from stages.common.training.stepper import Draws
from stages.models.condition import Condition
from stages.models.denoiser import DenoiserConfig

Part = Literal["labels", "coefficients", "identity", "geometry"]
_MIRRORED = list(mirrored_names())


class FaceConditions:
    """The conditions of a split: ``labels`` (N,), which may be the null class, and what else the network hears."""

    def __init__(self, data: ShardDataset | None, labels: NDArray[np.int64], network: DenoiserConfig) -> None:
        """``data`` is only needed where the network hears expressions.

        Raises ``BadInputError`` when it does, and the data says nothing of them.
        """
        self.labels = labels
        self.network = network
        self.expressions: Expressions | None = None
        if data is not None and network.hears_expression:
            self.expressions = data.expressions()
            self._size_px = data[0].shape[0]
            self._others = _photos_of_same_person(data.identities)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, indices: NDArray[np.int64], mirrored: NDArray[np.bool_], random: np.random.Generator | None = None
    ) -> Draws:
        """The parts of a condition, by name, of faces and of mirrored ones.

        With ``random`` half of the identities are taken from another photo of the person, where there is one: what
        they say then is who it is, and nothing of the expression.
        """
        parts: Draws = {"labels": torch.from_numpy(self.labels[indices])}
        if self.expressions is None:
            return parts
        coefficients_BK = self.expressions.coefficients_NK[indices]
        coefficients_BK[mirrored] = coefficients_BK[mirrored][:, _MIRRORED]
        parts["coefficients"] = torch.from_numpy(coefficients_BK)
        if self.network.identity:
            parts["identity"] = torch.from_numpy(self.expressions.identities_ND[self._identities(indices, random)])
        if self.network.geometry_maps:
            parts["geometry"] = self._geometry(indices, mirrored)
        return parts

    def _identities(self, indices: NDArray[np.int64], random: np.random.Generator | None) -> NDArray[np.int64]:
        if random is None:
            return indices
        draws = random.random((len(indices), 2))
        return np.array(
            [
                self._others[i][int(which * len(self._others[i]))] if other < 0.5 else i
                for i, (other, which) in zip(indices, draws, strict=True)
            ]
        )

    def _geometry(self, indices: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Tensor:
        assert self.expressions is not None
        maps = []
        for index, mirror in zip(indices, mirrored, strict=True):
            points_P3 = self.expressions.points_NP3[index]
            drawn = draw_geometry(np.nan_to_num(points_P3[:, :2], nan=-1e3), self._size_px)
            maps.append(drawn[:, :, ::-1] if mirror else drawn)
        return torch.from_numpy(np.stack(maps)).float() / 255


def condition_of(draws: Draws) -> Condition:
    """The condition of a batch from its parts."""
    return Condition(draws["labels"], draws.get("coefficients"), draws.get("identity"), draws.get("geometry"))


def drop(parts: Draws, dropped: dict[str, Tensor], null_class: int) -> Draws:
    """The parts with those rows (B,) unknown that ``dropped`` names."""
    unknown = {"labels": null_class, "coefficients": torch.nan, "identity": torch.nan, "geometry": 0.0}
    return {
        name: torch.where(dropped[name].view(-1, *[1] * (part.ndim - 1)), unknown[name], part)
        for name, part in parts.items()
    }


def _photos_of_same_person(identities: list[str | None]) -> list[NDArray[np.int64]]:
    """For each face the faces of the same person, itself among them."""
    by_name: dict[str, list[int]] = {}
    for index, name in enumerate(identities):
        by_name.setdefault(name if name is not None else f"#{index}", []).append(index)
    groups = {name: np.array(members) for name, members in by_name.items()}
    return [groups[name if name is not None else f"#{index}"] for index, name in enumerate(identities)]
