"""Distances between two sets of pictures: torch-fidelity's bookkeeping on Inception, VGG or SqueezeNet features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from stages.common.errors import BadInputError
from stages.common.experts import require_expert
from stages.common.perceptual_weights import load_squeezenet_keras, squeezenet_file
from stages.common.weights import cache_folder
from stages.models.perceptual import SQUEEZENET_NAME, SqueezeNetFeatures

BATCH = 32
_LAST_FIRE = 12
_KID_SUBSET = 1000
_IS_SPLITS = 10
_NEIGHBOURS = 3

_METRIC_KEYS = {
    "fid": "frechet_inception_distance",
    "kid": "kernel_inception_distance_mean",
    "precision": "precision",
    "recall": "recall",
    "is": "inception_score_mean",
}
_EXTRACTORS = {
    ("rfid", "fid", "kid", "is"): ("inception-v3-compat", "inception"),
    ("precision", "recall"): ("vgg16", "vgg16"),
    ("rfd_squeezenet", "fd_squeezenet", "kd_squeezenet", "precision_squeezenet", "recall_squeezenet"): (
        SQUEEZENET_NAME,
        None,
    ),
}
"""Which features a metric is made of, and the expert that is their network (the SqueezeNet finds its own)."""

_FIDELITY_NAMES = {
    "rfid": "fid", "rfd_squeezenet": "fid", "fd_squeezenet": "fid", "kd_squeezenet": "kid",
    "precision_squeezenet": "precision", "recall_squeezenet": "recall",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures (H, W, 3) by index, all of one size. Features are kept under ``content``, a hash of them, if any."""

    name: str
    count: int
    read: Callable[[int], NDArray[np.uint8]]
    content: str | None = None


class _Pictures(Dataset[Tensor]):
    def __init__(self, pictures: PictureSet) -> None:
        self._pictures = pictures
        self._shape: tuple[int, ...] = pictures.read(0).shape

    def __len__(self) -> int:
        return self._pictures.count

    def __getitem__(self, index: int) -> Tensor:
        picture = self._pictures.read(index)
        if picture.shape != self._shape:
            sizes = " and ".join(f"{width} x {height}" for height, width, _ in (self._shape, picture.shape))
            raise BadInputError(f"the pictures of {self._pictures.name} differ in size: {sizes}", "Resize them first")
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def least_count(metrics: Sequence[str]) -> int:
    """How many pictures each side must have for these metrics to mean anything."""
    neighbours = any(_FIDELITY_NAMES.get(name, name) in ("precision", "recall") for name in metrics)
    return _NEIGHBOURS + 1 if neighbours else 2


def compare_sets(
    generated: PictureSet,
    real: PictureSet,
    metrics: Sequence[str],
    *,
    seed: int,
    device: str = "cpu",
    batch_size: int = BATCH,
) -> dict[str, float]:
    """The metrics by name. Features are kept in the model store under the pictures' content.

    KID takes subsets of up to 1000 pictures, the inception score up to 10 splits. Raises ``BadInputError`` for sets
    that are too small, of mixed sizes, or whose features are not numbers; ``MissingModelError`` without a network.
    """
    least = least_count(metrics)
    for pictures in (generated, real):
        if pictures.count < least:
            raise BadInputError(f"{pictures.name} has {pictures.count} picture(s); {least} or more are needed")
    shapes = [pictures.read(0).shape for pictures in (generated, real)]
    if shapes[0] != shapes[1]:
        sizes = [f"{width} x {height}" for height, width, _ in shapes]
        raise BadInputError(f"{generated.name} is {sizes[0]}, {real.name} is {sizes[1]}", "Bring both to one size")
    found: dict[str, float] = {}
    for group, (extractor, expert) in _EXTRACTORS.items():
        names = [name for name in metrics if name in group]
        if names:
            how: dict[str, Any] = {"seed": seed, "device": device, "batch_size": batch_size}
            try:
                values = _calculate(generated, real, names, extractor=extractor, expert=expert, **how)
            except np.linalg.LinAlgError as error:
                raise _not_numbers(generated, real) from error
            found |= {name: values[_METRIC_KEYS[_FIDELITY_NAMES.get(name, name)]] for name in names}
    if not np.isfinite(list(found.values())).all():
        raise _not_numbers(generated, real)
    return found


def _not_numbers(generated: PictureSet, real: PictureSet) -> BadInputError:
    return BadInputError(
        f"the features of {generated.name} or {real.name} are not numbers", "Is a picture or the network damaged?"
    )


def _calculate(
    generated: PictureSet,
    real: PictureSet,
    names: Sequence[str],
    *,
    extractor: str,
    expert: str | None,
    seed: int,
    device: str,
    batch_size: int,
) -> dict[str, float]:
    import torch_fidelity

    _register_squeezenet()
    wanted = {_FIDELITY_NAMES.get(name, name) for name in names}
    smaller = min(generated.count, real.count)
    values: dict[str, float] = torch_fidelity.calculate_metrics(
        input1=_Pictures(generated),
        input2=_Pictures(real),
        fid="fid" in wanted,
        kid="kid" in wanted,
        isc="is" in wanted,
        prc=bool(wanted & {"precision", "recall"}),
        feature_extractor=extractor,
        feature_extractor_weights_path=str(require_expert(expert)) if expert else None,
        input1_cache_name=generated.content,
        input2_cache_name=real.content,
        cache_root=str(cache_folder() / "features"),
        kid_subset_size=min(_KID_SUBSET, smaller),
        isc_splits=min(_IS_SPLITS, generated.count),
        prc_neighborhood=_NEIGHBOURS,
        rng_seed=seed,
        batch_size=batch_size,
        cuda=device.startswith("cuda"),
        save_cpu_ram=True,
        verbose=False,
    )
    return values


@cache
def _register_squeezenet() -> None:
    """Make ``SQUEEZENET_NAME`` one of torch-fidelity's feature extractors."""
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor

    class SqueezeNetExtractor(FeatureExtractorBase):  # type: ignore[misc]  # torch-fidelity has no types
        """The last fire module's 512 channels, averaged over positions. Values compare with nothing published."""

        def __init__(self, name: str, features_list: list[str], **_options: Any) -> None:
            super().__init__(name, features_list)
            self.network = SqueezeNetFeatures(load_squeezenet_keras(squeezenet_file()), taps=(_LAST_FIRE,))

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("512",)

        @staticmethod
        def get_default_feature_layer_for_metric(_metric: str) -> str:
            return "512"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, pictures_BCHW: Tensor) -> tuple[Tensor]:
            (maps_BCHW,) = self.network(pictures_BCHW.float() / 127.5 - 1)
            return (maps_BCHW.mean(dim=(2, 3)),)

    register_feature_extractor(SQUEEZENET_NAME, SqueezeNetExtractor)
