"""How sound and mouth fit in time: SyncNet's offset and confidence, and a lag that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.experts import require_expert
from stages.common.hashing import hash_file
from stages.common.kept import Arrays, keep
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.samples import OK, count_statuses
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import Row, Table, Value
from stages.evaluate.config import SyncConfig
from stages.evaluate.statistics import bootstrap_interval
from stages.evaluate.table import columns_of, summarize, write_results
from stages.evaluate.talk.clips import ClipSet, TalkingClip
from stages.evaluate.talk.lag import find_lag, loudness
from stages.evaluate.talk.mouth import mouth_opening
from stages.evaluate.talk.syncnet import find_offset, load_syncnet
from stages.evaluate.talk.systems import REAL, fill_rows, gather, rejection_notes, require_names, require_some

_SYNCNET = "syncnet_"
_LAG = "lag"
_LAG_VERSION = 1
"""Rises when an equal clip would have another lag."""

Measure = Callable[[TalkingClip], Mapping[str, float]]


def run(config: SyncConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Clip by clip; what an earlier run found is not measured again."""
    contest = gather(config, inputs)
    meter = _Meter(config, context.device)
    rows: list[dict[str, Any]] = []
    with context.progress.task("clips", len(contest.keys) * len(contest.sets)) as task:
        for key in contest.keys:
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again: what was measured is kept")
            for name, (clips, own) in contest.sets.items():
                rows.append({"system": name, "sample_key": key, **meter(clips, own[key])})
                task.advance()
    counts = count_statuses((row["status"] for row in rows), "clips", config.max_rejected)
    table = Table(
        "Sound and mouth",
        ("system", "clips"),
        columns_of(config.metrics),
        tuple(_summarize(name, rows, config.metrics) for name in contest.sets),
        config.missing,
        tuple(rejection_notes(rows)),
    )
    write_results(table, fill_rows(rows), context.out)
    return ArtifactDraft(counts)


_SYNC = StageSpec("eval_sync", 1, SyncConfig, {}, ArtifactKind.EVALUATION, run)


def sync_spec(clips: Mapping[str, Artifact]) -> StageSpec[SyncConfig]:
    """The stage for these systems' clips (the real ones under ``REAL``). Raises ``ConfigError`` for a taken name."""
    require_names([name for name in clips if name != REAL], [])
    if not clips:
        raise ConfigError("there is nothing to measure", "Give --data, or --clips NAME=DIR")
    return replace(_SYNC, inputs={name: artifact.manifest.kind for name, artifact in clips.items()})


class _Meter:
    def __init__(self, config: SyncConfig, device: str) -> None:
        self._measures: dict[str, tuple[str, Measure]] = {}
        if any(name.startswith(_SYNCNET) for name in config.metrics):
            weights = require_expert("syncnet")
            network = load_syncnet(weights, device)
            self._measures["syncnet"] = (hash_file(weights), lambda clip: asdict(find_offset(network, clip, device)))
        if any(name.startswith(_LAG) for name in config.metrics):
            self._measures[_LAG] = (str(_LAG_VERSION), _measure_lag)

    def __call__(self, clips: ClipSet, key: str) -> dict[str, Any]:
        """The values of one clip and its status."""
        read: list[TalkingClip] = []
        found: dict[str, Any] = {}
        try:
            for kind, (version, measure) in self._measures.items():
                values = keep(kind, [version, clips.content(key)], lambda m=measure: _arrays(m, clips, key, read))  # type: ignore[misc]
                found |= {name: float(value) for name, value in values.items()}
        except BadInputError as error:
            return {"status": error.reason}
        return {"status": OK, **_named(found)}


def _arrays(measure: Measure, clips: ClipSet, key: str, read: list[TalkingClip]) -> Arrays:
    """What ``measure`` finds; the clip is read once for all measures."""
    if not read:
        read.append(clips.read(key, sound=True))
    return {name: np.array(value) for name, value in measure(read[0]).items()}


def _measure_lag(clip: TalkingClip) -> Mapping[str, float]:
    return asdict(find_lag(mouth_opening(clip.landmarks), loudness(clip.samples, len(clip.frames), clip.fps), clip.fps))


_NAMES = {
    "offset_ms": "syncnet_offset",
    "confidence": "syncnet_confidence",
    "distance": "syncnet_distance",
    "lag_ms": "lag",
    "correlation": "lag_correlation",
    "peak_ratio": "lag_peak_ratio",
}


def _named(found: Mapping[str, float]) -> dict[str, float]:
    return {_NAMES[name]: value for name, value in found.items()}


def _summarize(name: str, rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Row:
    accepted = require_some(name, [row for row in rows if row["system"] == name])
    medians = {"lag": _median, "lag_spread": _spread}
    plain = [metric for metric in metrics if metric not in medians]
    values = dict(summarize(accepted, {}, plain).values)
    lags = np.array([row.get("lag", np.nan) for row in accepted])
    for metric in (m for m in medians if m in metrics):
        statistic = medians[metric]
        interval = bootstrap_interval(lags, statistic=statistic) if len(lags) > 1 else None
        values[metric] = Value(float(statistic(lags[None])[0]), interval)
    return Row({"system": name, "clips": "real" if name == REAL else "generated"}, len(accepted), values)


def _median(lags_RN: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.median(lags_RN, axis=1))


def _spread(lags_RN: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median absolute deviation from the median."""
    return np.asarray(np.median(np.abs(lags_RN - np.median(lags_RN, axis=1, keepdims=True)), axis=1))
