"""How like real faces generated ones are, emotion by emotion and together (thesis 4.3.3, table 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, Interrupted
from stages.common.folders import by_emotion, list_pictures, read_pictures
from stages.common.hashing import hash_file, hash_json, hash_listing
from stages.common.images import read_rgb
from stages.common.manifest import MANIFEST_NAME, Artifact, ArtifactKind, Counts, load_artifact
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import MEAN, Row, Table, Value
from stages.evaluate.config import GenerationConfig
from stages.evaluate.faces import DATA_ROLES, LabelledFaces, choose, data_of, open_faces
from stages.evaluate.fidelity import PictureSet, compare_sets
from stages.evaluate.table import SampleRow, columns_of, write_results

ALL = "all together"
GENERATED_ROLES = {"generated": ArtifactKind.SOURCE, "samples": ArtifactKind.SAMPLES}
"""Any folder, or what `synthesize` wrote."""


def run(config: GenerationConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """One row an emotion, their mean, and one for all pictures together."""
    faces = open_faces(inputs, config.split)
    root = next(inputs[role] for role in GENERATED_ROLES if role in inputs).root
    generated = _generated(root, config)
    real = {e: _real_indices(faces, EMOTIONS.index(e), config.limit) for e in generated}
    lacking = [emotion for emotion, indices in real.items() if not indices]
    if lacking:
        raise BadInputError(f"the split {config.split!r} has no {lacking[0]} face", "Choose with --emotion")
    pairs = {e: (generated[e], real[e]) for e in generated}
    if len(pairs) > 1:
        few = {e: _real_indices(faces, EMOTIONS.index(e), config.together_limit or config.limit) for e in real}
        pairs[ALL] = ([p for e in generated for p in generated[e]], [i for e in few for i in few[e]])
    rows = []
    with context.progress.task("sets", len(pairs)) as task:
        for name, (paths, indices) in pairs.items():
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again: features are kept")
            sets = _picture_set(name, paths), _real_set(name, faces, indices, data_of(inputs))
            found = compare_sets(*sets, config.metrics, seed=context.seed, device=context.device)
            rows.append(Row({"emotion": name}, len(paths), {k: Value(v) for k, v in found.items()}))
            task.advance()
    table = Table(
        "Generation",
        ("emotion",),
        columns_of(config.metrics),
        tuple(_with_mean(rows, config.metrics)),
        config.missing,
        (f"real faces: {', '.join(f'{e} {len(real[e])}' for e in real)}",),
    )
    samples = _sample_rows(generated, real, root, faces)
    write_results(table, samples, context.out)
    return ArtifactDraft(Counts(total=len(samples), ok=len(samples)))


GENERATION = StageSpec(
    "eval_generation",
    1,
    GenerationConfig,
    {},
    ArtifactKind.EVALUATION,
    run,
    optional_inputs={**GENERATED_ROLES, **DATA_ROLES},
)


def read_generated(root: Path) -> dict[str, Artifact]:
    """A folder of generated pictures in its role. Raises ``BadInputError``."""
    if not (root / MANIFEST_NAME).is_file():
        return {"generated": read_pictures(root)}
    return {"samples": load_artifact(root, ArtifactKind.SAMPLES)}


def _generated(root: Path, config: GenerationConfig) -> dict[str, list[Path]]:
    """Pictures by emotion, in the order of ``EMOTIONS``; with a limit, those of the first names by hash."""
    folders = by_emotion(root)
    if not folders:
        raise BadInputError(f"{root} has no folders", "Give one with a folder of pictures for each emotion")
    lacking = [emotion for emotion in config.emotions if emotion not in folders]
    if lacking:
        raise BadInputError(f"{root} has no folder for {lacking[0]}", "It has: " + ", ".join(folders))
    found = {}
    for emotion in sorted(config.emotions or folders, key=EMOTIONS.index):
        listed = list_pictures(folders[emotion])
        keys = list(listed)
        found[emotion] = [folders[emotion] / listed[keys[i]] for i in sorted(choose(keys, config.limit))]
    return found


def _real_indices(faces: LabelledFaces, label: int, limit: int | None) -> list[int]:
    of_label = np.flatnonzero(faces.labels == label).tolist()
    return [of_label[i] for i in choose([faces.keys[i] for i in of_label], limit)]


def _picture_set(name: str, paths: Sequence[Path]) -> PictureSet:
    content = hash_listing((str(number), hash_file(path)) for number, path in enumerate(paths))
    return PictureSet(f"generated {name}", len(paths), lambda n: read_rgb(paths[n]), content)


def _real_set(name: str, faces: LabelledFaces, indices: Sequence[int], data: Artifact) -> PictureSet:
    content = hash_json([data.manifest.artifact_id, [faces.keys[i] for i in indices]])
    return PictureSet(f"real {name}", len(indices), lambda n: faces[indices[n]], content)


def _with_mean(rows: Sequence[Row], metrics: Sequence[str]) -> list[Row]:
    """The mean over emotions stands before the row of all together."""
    single = [row for row in rows if row.labels["emotion"] != ALL]
    if len(single) == 1:
        return list(rows)
    means = {name: Value(float(np.mean([row.values[name].mean for row in single]))) for name in metrics}
    return [*single, Row({"emotion": MEAN}, sum(row.samples for row in single), means), rows[-1]]


def _sample_rows(
    generated: Mapping[str, Sequence[Path]], real: Mapping[str, Sequence[int]], root: Path, faces: LabelledFaces
) -> list[SampleRow]:
    rows: list[SampleRow] = [
        {"side": "generated", "emotion": emotion, "sample_key": path.relative_to(root).as_posix()}
        for emotion, paths in generated.items()
        for path in paths
    ]
    return rows + [
        {"side": "real", "emotion": emotion, "sample_key": faces.keys[index]}
        for emotion, indices in real.items()
        for index in indices
    ]
