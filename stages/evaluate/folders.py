"""How well any system edits, from its pictures alone: folders of results, paired by name with the folder of sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stages.common.emotions import parse_emotion
from stages.common.engine import describe_source
from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.hashing import hash_file, hash_listing
from stages.common.images import PHOTO_SUFFIXES, read_rgb
from stages.common.manifest import PARENTS_NAME, Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.evaluate.config import FoldersConfig
from stages.evaluate.judging import Judge, Subject, confusion, face_notes
from stages.evaluate.table import MEAN, Row, SampleRow, Table, columns_of, require_finite, summarize, write_results

SOURCE = "source"
OWN = "own"
"""Roles of the folder of sources, and of the model whose classifier is an expert; any other is a system's name."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and its edit, both relative to their folders; ``target`` None: not known."""

    key: str
    source: str
    edited: str
    target: str | None


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


@dataclass(frozen=True, slots=True)
class System:
    """A system and its pictures, all of which show ``target`` if it is given."""

    name: str
    root: Path
    target: str | None


def parse_system(text: str) -> System:
    """``NAME=DIR`` or ``NAME=DIR:EMOTION``. Raises ``ConfigError``. What follows a colon is part of an existing DIR."""
    name, separator, place = text.partition("=")
    if not separator or not name or not place:
        raise ConfigError(f"--edited {text!r} is not of the form NAME=DIR[:EMOTION]")
    folder, colon, emotion = place.rpartition(":")
    if not colon or Path(place).is_dir():
        return System(name, Path(place), None)
    return System(name, Path(folder), parse_emotion(emotion))


def folders_spec(systems: Sequence[str]) -> StageSpec[FoldersConfig]:
    """The stage for these systems, each of which is an input. Raises ``ConfigError`` for a name that is taken."""
    taken = [name for name in systems if name in (SOURCE, OWN)]
    if taken or len(set(systems)) < len(systems):
        raise ConfigError(f"--edited names must differ from one another, {SOURCE!r} and {OWN!r}")
    return replace(_FOLDERS, inputs={**_FOLDERS.inputs, **dict.fromkeys(systems, ArtifactKind.SOURCE)})


def read_pictures(root: Path) -> Artifact:
    """A folder of pictures as an input: its identity covers names and contents. Raises ``BadInputError`` when empty."""
    paths = list_pictures(root)
    return describe_source(root, hash_listing((path, hash_file(root / path)) for path in paths.values()))


def list_pictures(root: Path) -> dict[str, str]:
    """Name without suffix to path, both POSIX and relative, of the pictures below ``root``, sorted.

    Raises ``BadInputError`` for no folder, none in it, and two of one name.
    """
    if not root.is_dir():
        raise BadInputError(f"{root} is not a folder")
    found: dict[str, str] = {}
    for path in sorted(p.relative_to(root) for p in root.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES):
        key = path.with_suffix("").as_posix()
        if key in found:
            raise BadInputError(f"{root} has both {found[key]} and {path.as_posix()}", "Keep one of them")
        found[key] = path.as_posix()
    if not found:
        raise BadInputError(f"{root} holds no pictures", "Known endings: " + ", ".join(sorted(PHOTO_SUFFIXES)))
    return found


def by_emotion(root: Path) -> dict[str, Path]:
    """The folders of ``root`` that are named after emotions, by canonical name.

    Raises ``BadInputError`` for a folder with another name, and two of one emotion.
    """
    found: dict[str, Path] = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name != PARENTS_NAME):
        try:
            emotion = parse_emotion(folder.name)
        except ConfigError as error:
            raise BadInputError(f"{folder} is not named after an emotion", error.hint) from error
        if emotion in found:
            raise BadInputError(f"{found[emotion]} and {folder} are both {emotion}", "Keep one of them")
        found[emotion] = folder
    return found


def pair_up(name: str, source: Path, edited: Path, target: str | None) -> list[Pair]:
    """The system's pictures beside their sources, by name; without ``target``, in one folder for each emotion, if any.

    Raises ``BadInputError`` unless each folder has exactly the sources' names.
    """
    sources = list_pictures(source)
    folders: dict[str | None, Path] = {}
    if target is None:
        folders.update(by_emotion(edited))
    folders = folders or {target: edited}
    pairs = []
    for emotion, folder in folders.items():
        results = list_pictures(folder)
        _require_same_names(name if emotion is None else f"{name} ({emotion})", sources, results)
        prefix = folder.relative_to(edited)
        pairs += [Pair(k, sources[k], (prefix / results[k]).as_posix(), emotion) for k in sources]
    return pairs


def _require_same_names(what: str, sources: Iterable[str], results: Iterable[str]) -> None:
    wanted, found = set(sources), set(results)
    lacking, extra = sorted(wanted - found), sorted(found - wanted)
    parts = []
    if lacking:
        parts.append(f"{len(lacking)} of {len(wanted)} sources have no edited picture ({_some(lacking)})")
    if extra:
        parts.append(f"{len(extra)} edited picture(s) have no source ({_some(extra)})")
    if parts:
        raise BadInputError(f"{what}: {'; '.join(parts)}", "Compare the same pictures for every system")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


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
