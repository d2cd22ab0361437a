"""Turn a published lip reader into one of facediff's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stages.common.config import StageConfig
from stages.common.errors import BadInputError
from stages.common.lip_reader_checkpoint import save_lip_reader
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.convert.loading import load_exactly
from stages.convert.pickles import read_state_dict
from stages.convert.vsr_keys import describe_reader, lip_reader_weights
from stages.models.lip_reader import LipReader


class VsrConfig(StageConfig):
    """The checkpoint and its list of units say everything."""


def run(_config: VsrConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Write the network in float32; every array of the checkpoint is used, and every parameter is set."""
    weights = lip_reader_weights(read_state_dict(inputs["checkpoint"].root))
    reader = LipReader(describe_reader(weights, read_units(inputs["units"].root)))
    load_exactly(reader, weights, "network")
    save_lip_reader(reader, context.out)
    return ArtifactDraft(Counts(total=1, ok=1))


def read_units(path: Path) -> tuple[str, ...]:
    """The units of a list, one a line, each before its number if it has one. Raises ``BadInputError``."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"cannot read {path} as a list of units: {error}") from error
    units = tuple(line.split()[0] for line in lines if line.strip())
    if not units:
        raise BadInputError(f"{path} lists no units")
    return units


VSR = StageSpec(
    "convert_vsr",
    1,
    VsrConfig,
    {"checkpoint": ArtifactKind.SOURCE, "units": ArtifactKind.SOURCE},
    ArtifactKind.LIP_READER,
    run,
)
