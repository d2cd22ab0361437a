"""How well any system edits, from its pictures alone: folders of results, paired by name with the folder of sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.folders import Pair, pair_up
from stages.common.images import read_rgb
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import MEAN, Row, Table
from stages.evaluate.config import FoldersConfig
from stages.evaluate.judging import Judge, Subject, confusion, face_notes
from stages.evaluate.table import SampleRow, columns_of, require_finite, summarize, write_results

SOURCE = "source"
OWN = "own"
"""Roles of the folder of sources, and of the model whose classifier is an expert; any other is a system's name."""


def run(config: FoldersConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Check that every system has every picture, then measure pair by pair."""
    source = inputs[SOURCE].root
    pairs = {name: pair_up(name, source, inputs[name].root, target) for name, target in config.targets.items()}
    judge = Judge(config.metrics, inputs[OWN].root if OWN in inputs else None, context.device)
    known: dict[str, list[Subject]] = {}
    rows: list[SampleRow] = []
    table_rows: list[Row] = []
    with context.progress.task("pictures", sum(map(len, pairs.values()))) as task:
        for name, of_system in pairs.items():
            made = []
            for pair in of_system:
                if context.should_stop():
                    raise Interrupted("stopped", "Give the same command again to start over")
                made.append({"system": name, **_measure(judge, known, source, inputs[name].root, pair)})
                task.advance()
            require_finite(made, config.metrics)
            table_rows += _summarize(name, made, config.metrics)
            rows += made
    table = Table(
        "Edits", ("system", "target"), columns_of(config.metrics), tuple(table_rows), config.missing, face_notes(rows)
    )
    write_results(table, rows, context.out)
    return ArtifactDraft(Counts(total=len(rows), ok=len(rows)))


_FOLDERS = StageSpec(
    "eval_folders",
    1,
    FoldersConfig,
    {SOURCE: ArtifactKind.SOURCE},
    ArtifactKind.EVALUATION,
    run,
    optional_inputs={OWN: ArtifactKind.MODEL},
)


def folders_spec(systems: Sequence[str]) -> StageSpec[FoldersConfig]:
    """The stage for these systems, each of which is an input. Raises ``ConfigError`` for a name that is taken."""
    taken = [name for name in systems if name in (SOURCE, OWN)]
    if taken or len(set(systems)) < len(systems):
        raise ConfigError(f"--edited names must differ from one another, {SOURCE!r} and {OWN!r}")
    return replace(_FOLDERS, inputs={**_FOLDERS.inputs, **dict.fromkeys(systems, ArtifactKind.SOURCE)})


def _measure(
    judge: Judge, known: dict[str, list[Subject]], source_root: Path, edited_root: Path, pair: Pair
) -> SampleRow:
    """The row of one pair; ``known`` keeps what was found in a source for its other edits."""
    before, after = read_rgb(source_root / pair.source), read_rgb(edited_root / pair.edited)
    if before.shape != after.shape:
        sizes = [f"{picture.shape[1]} x {picture.shape[0]}" for picture in (before, after)]
        raise BadInputError(
            f"{source_root / pair.source} is {sizes[0]}, but {edited_root / pair.edited} is {sizes[1]}",
            "Bring both to one size first",
        )
    sources = before[np.newaxis]
    if pair.key not in known:
        known[pair.key] = judge.prepare(sources)
    (values,) = judge(known[pair.key], sources, after[np.newaxis], pair.target)
    return {"sample_key": pair.key, "target": pair.target, **values}


def _summarize(name: str, rows: Sequence[SampleRow], metrics: Sequence[str]) -> list[Row]:
    targets = list(dict.fromkeys(row["target"] for row in rows))
    table = []
    for target in targets:
        of_target = [row for row in rows if row["target"] == target]
        row = summarize(of_target, {"system": name, "target": target}, metrics)
        table.append(replace(row, judged=confusion(of_target)))
    if len(targets) > 1:
        table.append(summarize(rows, {"system": name, "target": MEAN}, metrics))
    return table
