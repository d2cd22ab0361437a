"""Train a lip reader that spells."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping

import torch

from stages.common.clips import ClipDataset
from stages.common.errors import BadInputError, ConfigError
from stages.common.lip_reader_checkpoint import save_lip_reader
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.lipreader.config import LipReaderTrainConfig
from stages.lipreader.mouths import MouthData
from stages.lipreader.trainer import LipReaderTrainer
from stages.models.lip_reader import LipReader, LipReaderConfig
from stages.models.mouth_crop import CROP_PX
from stages.models.text_units import characters_of


def run(config: LipReaderTrainConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train on the clips with a text; the units are the characters of theirs."""
    if importlib.util.find_spec("jiwer") is None:
        raise ConfigError("counting errors needs the package jiwer", "Install facediff[lipread]")
    stepper = Stepper(config.loop, context)
    side_px = CROP_PX + 2 * config.shift_px
    clips = {split: ClipDataset(inputs["data"], split) for split in ("train", "val")}
    train, val = (MouthData(data, split, side_px, context) for split, data in clips.items())
    units = characters_of(fact["text"] for fact in train.facts)
    _require_known(val, units)
    torch.manual_seed(context.seed)
    model = LipReader(LipReaderConfig(**config.network.model_dump(), units=units))
    trainer = LipReaderTrainer(model, config, (train, val), stepper=stepper, seed=context.seed, workers=context.workers)
    row = fit(trainer, config.loop, stepper, context, "lip reader")
    save_lip_reader(model, context.out)
    total, used = len(clips["train"]), len(train)
    rejected = {"no text": total - used} if used < total else {}
    return ArtifactDraft(Counts(total=total, ok=used, rejected_by_reason=rejected), row)


def _require_known(val: MouthData, units: tuple[str, ...]) -> None:
    strange = set(characters_of(fact["text"] for fact in val.facts)) - set(units)
    if strange:
        raise BadInputError(f"no training clip has the characters {' '.join(sorted(strange))} of the val clips")


LIPREADER = StageSpec("lipreader", 1, LipReaderTrainConfig, {"data": ArtifactKind.CLIPS}, ArtifactKind.LIP_READER, run)
