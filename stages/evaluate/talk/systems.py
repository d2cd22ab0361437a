"""The clips of an evaluation: the real ones, and those of each system, paired by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.common.errors import BadInputError, ConfigError
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.samples import OK
from stages.evaluate.config import TalkingConfig
from stages.evaluate.faces import choose
from stages.evaluate.talk.clips import ArtifactClips, ClipSet, FolderClips, pair_clips

REAL = "real clips"
_USUAL_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Contest:
    """``keys`` name the clips as ``reference`` does; ``sets`` has each system's clips, and its key for each of them.
    Videos are read at ``fps``.

    The real clips, if there are any, are the first set, under ``REAL``.
    """

    keys: tuple[str, ...]
    reference: ClipSet
    sets: Mapping[str, tuple[ClipSet, Mapping[str, str]]]
    fps: float


def gather(config: TalkingConfig, inputs: Mapping[str, Artifact]) -> Contest:
    """Open and pair all clips. Raises ``BadInputError`` unless every system has the same ones."""
    fps = config.fps or _rate_of(inputs.get(REAL)) or _USUAL_FPS
    opened = {name: open_clips(inputs[name], config, fps) for name in (REAL, *config.systems) if name in inputs}
    reference = next(iter(opened.values()))
    chosen = sorted(choose(reference.keys, config.limit))
    keys = tuple(reference.keys[i] for i in chosen)
    sets = {name: (clips, pair_clips(name, reference, keys, clips)) for name, clips in opened.items()}
    return Contest(keys, reference, sets, fps)


def open_clips(artifact: Artifact, config: TalkingConfig, fps: float) -> ClipSet:
    """One split of a clips artifact, or any other folder's videos. Raises ``BadInputError``."""
    if artifact.manifest.kind is ArtifactKind.CLIPS:
        return ArtifactClips(artifact, config.split)
    return FolderClips(artifact.root, fps, config.tracking, config.detector)


def require_names(names: Sequence[str], taken: Sequence[str]) -> None:
    """Raises ``ConfigError`` for a system's name that occurs twice or is taken."""
    if len(set(names)) < len(names) or set(names) & {REAL, *taken}:
        raise ConfigError("the systems' names must differ from one another, and from " + ", ".join([REAL, *taken]))


def rejection_notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each system of which clips were rejected, with the reasons."""
    for name in dict.fromkeys(row["system"] for row in rows):
        statuses = Counter(row["status"] for row in rows if row["system"] == name)
        total, rejected = statuses.total(), {s: n for s, n in sorted(statuses.items()) if s != OK}
        if rejected:
            reasons = ", ".join(f"{reason} {count}" for reason, count in rejected.items())
            yield f"{name}: {sum(rejected.values())} of {total} clips rejected: {reasons}"


def fill_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows with one set of columns; what a row lacks is None."""
    columns = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in columns} for row in rows]


def require_some(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that are not rejected. Raises ``BadInputError`` when there are none."""
    accepted = [row for row in rows if row["status"] == OK]
    if not accepted:
        reasons = ", ".join(sorted({row["status"] for row in rows}))
        raise BadInputError(f"no clip of {name} could be measured: {reasons}", "Look at one of them")
    return accepted


def _rate_of(real: Artifact | None) -> float | None:
    if real is None or real.manifest.kind is not ArtifactKind.CLIPS:
        return None
    rate: float | None = real.manifest.config.get("fps")
    return rate
