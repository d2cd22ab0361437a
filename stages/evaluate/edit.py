"""How well a model edits: every face of a split into every target, over strengths, guidance scales and steps."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.defaults import classify_sources
from stages.common.editor import Editor, load_editor
from stages.common.emotions import EDIT_TARGETS, EMOTIONS
from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.manifest import Artifact, ArtifactKind, Counts, write_atomically
from stages.common.model_input import MODEL_ROLES
from stages.common.shards import UNLABELLED
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import MEAN, Row, Table
from stages.common.tensors import from_model_range, to_model_range
from stages.evaluate.config import EditGridConfig
from stages.evaluate.faces import (
    DATA_ROLES,
    LabelledFaces,
    batches,
    choose,
    model_of,
    open_faces,
    read_batch,
)
from stages.evaluate.judging import Judge, Subject, confusion, face_notes
from stages.evaluate.sharing import Cell, count_evaluations, edit_into_each
from stages.evaluate.table import SampleRow, columns_of, read_rows, require_finite, summarize, write_results, write_rows

BATCH = 16
UNEDITED = "unedited"
"""The row that says how often the experts agree with the labels of the faces as they are."""

_KEYS = ("strength", "guidance", "steps", "target")


def run(config: EditGridConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Cell by cell; a cell that an interrupted run finished is read back, not made again."""
    model = model_of(inputs)
    editor = load_editor(model.root, context.device)
    faces = open_faces(inputs, config.split)
    chosen, sources, counts = _select(editor, faces, config)
    targets = _targets(editor, config)
    sweep = _Sweep(editor, faces, chosen, sources, targets, Judge(config.metrics, model.root, context.device))
    cells = [Cell(*c) for c in itertools.product(config.strengths, config.guidance_scales, config.steps)]
    made, evaluations = [], 0
    with context.progress.task("edits", len(cells) * len(chosen) * len(targets)) as task:
        for cell in cells:
            of_cell, used = _finish(sweep, cell, config, context, task)
            made.append((cell, of_cell))
            evaluations += used
    naive = sum(cell.naive_evaluations(len(chosen), len(targets)) for cell in cells)
    unedited = sweep.unedited() if sweep.judge.experts and config.source == "label" else []
    rows = [*(row for _, of_cell in made for row in of_cell), *unedited]
    table = Table(
        "Edits",
        _KEYS,
        columns_of(config.metrics),
        (
            *itertools.chain.from_iterable(_table_rows(cell, of_cell, targets, config) for cell, of_cell in made),
            *([summarize(unedited, {**dict.fromkeys(_KEYS), "target": UNEDITED}, config.metrics)] if unedited else ()),
        ),
        config.missing,
        face_notes(rows),
    )
    write_results(table, rows, context.out)
    share = round(evaluations / naive, 4)
    return ArtifactDraft(
        counts,
        {"cells": len(cells), "network_evaluations": evaluations, "naive_evaluations": naive, "share_of_naive": share},
    )


EDIT_GRID = StageSpec(
    "eval_edit",
    1,
    EditGridConfig,
    {},
    ArtifactKind.EVALUATION,
    run,
    optional_inputs={**MODEL_ROLES, **DATA_ROLES},
)


def _targets(editor: Editor, config: EditGridConfig) -> tuple[str, ...]:
    unknown = [target for target in config.targets if target not in editor.editable]
    if unknown:
        raise ConfigError(f"the model has not learned {unknown[0]}", "It can do: " + ", ".join(editor.editable))
    return config.targets or tuple(target for target in EDIT_TARGETS if target in editor.editable)


def _select(editor: Editor, faces: LabelledFaces, config: EditGridConfig) -> tuple[list[int], list[str], Counts]:
    """Which faces are edited, the expression that each is inverted under, and how many had to be left out and why."""
    chosen = choose(faces.keys, config.limit)
    if config.source == "auto":
        pictures = (read_batch(faces, indices, editor.size_px) for indices in batches(chosen, BATCH))
        sources = [name for batch in pictures for name in classify_sources(editor, to_model_range(batch))[0]]
        return chosen, sources, Counts(total=len(chosen), ok=len(chosen))
    reasons = {i: _why_not(int(faces.labels[i]), editor.supported) for i in chosen}
    usable = [i for i in chosen if not reasons[i]]
    rejected = dict(sorted(Counter(reason for reason in reasons.values() if reason).items()))
    if not usable:
        raise BadInputError(f"none of {len(chosen)} faces has a label that the model knows", "Try --source auto")
    counts = Counts(total=len(chosen), ok=len(usable), rejected_by_reason=rejected)
    return usable, [EMOTIONS[faces.labels[i]] for i in usable], counts


def _why_not(label: int, supported: Sequence[str]) -> str:
    if label == UNLABELLED:
        return "no label"
    return "" if EMOTIONS[label] in supported else "label not learned"


@dataclass
class _Sweep:
    """The faces of an evaluation, and what is known of them after the first cell."""

    editor: Editor
    faces: LabelledFaces
    chosen: Sequence[int]
    sources: Sequence[str]
    targets: Sequence[str]
    judge: Judge
    subjects: dict[int, Subject] = field(default_factory=dict)

    def batch(self, places: Sequence[int], cell: Cell) -> tuple[list[SampleRow], list[list[NDArray[np.uint8]]]]:
        """Rows of the faces at these places in ``chosen``, and each face with what became of it."""
        indices = [self.chosen[place] for place in places]
        pictures, subjects = self._read(indices)
        labels_B = torch.tensor([EMOTIONS.index(self.sources[place]) for place in places])
        rows: list[SampleRow] = []
        shown = [[picture] for picture in pictures]
        made = edit_into_each(self.editor, to_model_range(pictures), labels_B, self.targets, cell)
        for target, edited in zip(self.targets, map(from_model_range, made), strict=True):
            values = self.judge(subjects, pictures, edited, target)
            for n, (index, place) in enumerate(zip(indices, places, strict=True)):
                what = {"sample_key": self.faces.keys[index], "source": self.sources[place], "target": target}
                where = {"strength": cell.strength, "guidance": cell.guidance_scale, "steps": cell.steps}
                rows.append({**what, **where, **values[n]})
                shown[n].append(edited[n])
        return rows, shown

    def unedited(self) -> list[SampleRow]:
        """What the experts make of the faces as they are; the target is the label."""
        rows: list[SampleRow] = []
        for label in sorted(set(self.sources), key=EMOTIONS.index):
            of_label = [i for i, source in zip(self.chosen, self.sources, strict=True) if source == label]
            for indices in batches(of_label, BATCH):
                pictures, subjects = self._read(indices)
                for index, values in zip(indices, self.judge.recognise(subjects, pictures, label), strict=True):
                    rows.append({"sample_key": self.faces.keys[index], "source": label, "target": UNEDITED, **values})
        return rows

    def _read(self, indices: Sequence[int]) -> tuple[NDArray[np.uint8], list[Subject]]:
        pictures = read_batch(self.faces, indices, self.editor.size_px)
        unknown = [n for n, index in enumerate(indices) if index not in self.subjects]
        if unknown:
            found = self.judge.prepare(pictures[unknown])
            self.subjects.update(zip([indices[n] for n in unknown], found, strict=True))
        return pictures, [self.subjects[index] for index in indices]


def _finish(
    sweep: _Sweep, cell: Cell, config: EditGridConfig, context: RunContext, task: Any
) -> tuple[list[SampleRow], int]:
    """The rows of one cell and the network evaluations that they took, made now or by the run that was interrupted."""
    folder = context.work / "cells"
    folder.mkdir(exist_ok=True)
    path, cost = folder / f"{cell.name}.parquet", folder / f"{cell.name}.json"
    if path.is_file():
        rows: list[SampleRow] = list(read_rows(path))
        task.advance(len(rows))
        return rows, int(json.loads(cost.read_bytes()))
    rows = []
    shown: list[list[NDArray[np.uint8]]] = []
    with count_evaluations(sweep.editor.denoiser.unet) as count:
        for places in batches(range(len(sweep.chosen)), BATCH):
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again to continue after the last finished cell")
            made, pictures = sweep.batch(places, cell)
            rows += made
            shown += pictures[: config.examples - len(shown)]
            task.advance(len(made))
    require_finite(rows, config.metrics)
    if shown:
        _write_grid(context, cell, shown)
    write_atomically(cost, json.dumps(count.samples).encode())
    write_rows(path, rows)
    return rows, count.samples


def _write_grid(context: RunContext, cell: Cell, shown: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
    """One line a face: the source, then the targets in order."""
    folder = context.out / "examples"
    folder.mkdir(exist_ok=True)
    grid = np.vstack([np.hstack(line) for line in shown])
    cv2.imwrite(str(folder / f"{cell.name}.png"), cv2.cvtColor(grid, cv2.COLOR_RGB2BGR))


def _table_rows(cell: Cell, rows: Sequence[SampleRow], targets: Sequence[str], config: EditGridConfig) -> list[Row]:
    where = {"strength": cell.strength, "guidance": cell.guidance_scale, "steps": cell.steps}
    table = []
    for target in targets:
        of_target = [row for row in rows if row["target"] == target]
        row = summarize(of_target, {**where, "target": target}, config.metrics)
        table.append(replace(row, judged=confusion(of_target)))
    if len(targets) > 1:
        table.append(summarize(rows, {**where, "target": MEAN}, config.metrics))
    return table
