"""What a lip reader reads off talking faces: error rates, LipScore, and how far silence opens the mouth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.common.errors import BadInputError, ConfigError, Interrupted
from stages.common.kept import Arrays, keep
from stages.common.lip_reading import LipReaderExpert
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.samples import OK, count_statuses
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.table import Row, Table, Value
from stages.evaluate.config import LipreadConfig
from stages.evaluate.statistics import bootstrap_interval
from stages.evaluate.table import columns_of, summarize, write_results
from stages.evaluate.talk.clips import ClipSet, pair_clips
from stages.evaluate.talk.error_rates import RATES, count_errors, normalise, rate_percent
from stages.evaluate.talk.experts import was_expert
from stages.evaluate.talk.mouth import lip_leak, lip_score, mouth_opening
from stages.evaluate.talk.systems import (
    REAL,
    Contest,
    fill_rows,
    gather,
    open_clips,
    rejection_notes,
    require_names,
    require_some,
)
from stages.evaluate.talk.transcripts import find_transcripts

READER = "reader"
TRANSCRIPTS = "transcripts"
SILENCE = " under silence"
"""Roles; any other is a system's name."""

_KEYS = ("system", "reader", "clips")
_NEED_SILENCE = frozenset({"lipleak", "lip_opening"})
_TOLERATED_FRAMES = 2
"""A codec may lose or repeat so many at the end of a clip."""


def run(config: LipreadConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Clip by clip; what was read in an earlier run, or for another evaluation, is not read again."""
    contest = gather(config, inputs)
    metrics = _measured(config, contest)
    texts = _texts(config, contest, inputs)
    reader = _Reader(inputs[READER], context.device)
    silent = _silent(config, contest, inputs)
    rows: list[dict[str, Any]] = []
    total = len(contest.keys) * (len(contest.sets) + len(silent))
    with context.progress.task("clips", total) as task:
        for key in contest.keys:
            if context.should_stop():
                raise Interrupted("stopped", "Give the same command again: what was read is kept")
            rows += _read_all(reader, contest, key, texts[key], config)
            rows += [_open(name, clips, own[key], key, config) for name, (clips, own) in silent.items()]
            task.advance(len(contest.sets) + len(silent))
    counts = count_statuses((row["status"] for row in rows), "clips", config.max_rejected)
    experts = {name: was_expert(inputs[READER], inputs[name]) for name in config.systems}
    found = Table(
        "Lip reading",
        _KEYS,
        columns_of(metrics),
        tuple(_summarize(name, rows, _title(reader.name, bool(experts.get(name))), config) for name in contest.sets),
        {**config.missing, **_inapplicable(config, contest)},
        (*_notes(config, inputs, experts), *rejection_notes(rows)),
    )
    write_results(found, fill_rows(rows), context.out)
    return ArtifactDraft(counts)


_LIPREAD = StageSpec(
    "eval_lipread",
    1,
    LipreadConfig,
    {READER: ArtifactKind.LIP_READER},
    ArtifactKind.EVALUATION,
    run,
    optional_inputs={TRANSCRIPTS: ArtifactKind.SOURCE},
)


def lipread_spec(clips: Mapping[str, Artifact], silent: Mapping[str, Artifact]) -> StageSpec[LipreadConfig]:
    """The stage for these systems' clips (the real ones under ``REAL``). Raises ``ConfigError`` for a taken name."""
    require_names([name for name in clips if name != REAL], [READER, TRANSCRIPTS, *map(silence_role, silent)])
    inputs = {**clips, **{silence_role(name): artifact for name, artifact in silent.items()}}
    return replace(_LIPREAD, inputs={**_LIPREAD.inputs, **{role: a.manifest.kind for role, a in inputs.items()}})


def silence_role(system: str) -> str:
    """The role of the clips that a system made of silence."""
    return system + SILENCE


class _Reader:
    def __init__(self, artifact: Artifact, device: str) -> None:
        self.name = artifact.root.resolve().name
        self._expert = LipReaderExpert.open(artifact, device)
        how = (self._expert.beam_size, self._expert.ctc_weight)
        self._content = [artifact.manifest.artifact_id, *map(str, how)]

    def __call__(self, clips: ClipSet, key: str) -> Arrays:
        """``text``, and ``features`` (T, D). Raises ``BadInputError`` with the reason of a rejection."""
        return keep("readings", [*self._content, clips.content(key)], lambda: self._find(clips, key))

    def _find(self, clips: ClipSet, key: str) -> Arrays:
        clip = clips.read(key)
        features = self._expert.features(clip.frames, clip.landmarks).cpu().numpy()
        if not np.isfinite(features).all():
            raise BadInputError(f"the features of {key} are not numbers", reason="features are not numbers")
        return {"text": np.array(self._expert.read(clip.frames, clip.landmarks)), "features": features}


def _read_all(
    reader: _Reader, contest: Contest, key: str, transcript: str, config: LipreadConfig
) -> list[dict[str, Any]]:
    """A row for each system's clip of this name. Where the real clip is rejected, so are they."""
    rows: list[dict[str, Any]] = []
    real: Arrays | None = None
    lost = ""
    for name, (clips, own) in contest.sets.items():
        row: dict[str, Any] = {"system": name, "sample_key": key, "status": OK, "transcript": transcript}
        rows.append(row)
        try:
            if lost:
                raise BadInputError("the real clip was rejected", reason=f"real clip: {lost}")
            reading = reader(clips, own[key])
            row["read"] = normalise(str(reading["text"]))
            if name == REAL:
                real = reading
            elif real is not None:
                row["lipscore"] = _compare(real["features"], reading["features"])
        except BadInputError as error:
            row["status"] = error.reason
            lost = error.reason if name == REAL else lost
            continue
        row |= count_errors(transcript, row["read"], _rates(config))
    return rows


def _rates(config: LipreadConfig) -> list[str]:
    return [rate for rate in RATES if rate in config.metrics]


def _texts(config: LipreadConfig, contest: Contest, inputs: Mapping[str, Artifact]) -> dict[str, str]:
    """The transcripts, where a rate needs them."""
    if not _rates(config):
        return dict.fromkeys(contest.keys, "")
    table = inputs[TRANSCRIPTS].root if TRANSCRIPTS in inputs else None
    return find_transcripts(contest.keys, contest.reference, contest.sets, table)


def _compare(real_TD: NDArray[Any], generated_TD: NDArray[Any]) -> float:
    """LipScore of clips that may differ by a frame or two at their ends."""
    both = min(len(real_TD), len(generated_TD))
    if max(len(real_TD), len(generated_TD)) - both > _TOLERATED_FRAMES:
        return lip_score(real_TD, generated_TD)
    return lip_score(real_TD[:both], generated_TD[:both])


def _silent(
    config: LipreadConfig, contest: Contest, inputs: Mapping[str, Artifact]
) -> dict[str, tuple[ClipSet, Mapping[str, str]]]:
    opened = {name: open_clips(inputs[silence_role(name)], config, contest.fps) for name in config.silent}
    return {
        name: (clips, pair_clips(silence_role(name), contest.reference, contest.keys, clips))
        for name, clips in opened.items()
    }


def _open(name: str, clips: ClipSet, own_key: str, key: str, config: LipreadConfig) -> dict[str, Any]:
    """The row of a clip that silence speaks."""
    row: dict[str, Any] = {"system": silence_role(name), "sample_key": key, "status": OK}
    try:
        found = keep("openings", [clips.content(own_key)], lambda: {"m": mouth_opening(clips.read(own_key).landmarks)})
    except BadInputError as error:
        return {**row, "status": error.reason}
    return {**row, "lipleak": lip_leak(found["m"], config.open_above), "lip_opening": float(found["m"].mean())}


def _measured(config: LipreadConfig, contest: Contest) -> list[str]:
    """The columns: what was asked for and applies, and the reader's own error beside it.

    Raises ``ConfigError`` when nothing applies.
    """
    inapplicable = _inapplicable(config, contest)
    columns = [name for name in config.metrics if name not in inapplicable]
    if not columns:
        raise ConfigError(f"nothing can be measured: {'; '.join(dict.fromkeys(inapplicable.values()))}")
    if REAL in contest.sets and len(contest.sets) > 1 and "wer" in columns:
        columns.insert(columns.index("wer") + 1, "wer_real")
    return columns


def _inapplicable(config: LipreadConfig, contest: Contest) -> dict[str, str]:
    why = {}
    if REAL not in contest.sets or len(contest.sets) == 1:
        why["lipscore"] = "it compares a system's clips with real ones"
    if not config.silent:
        why |= dict.fromkeys(sorted(_NEED_SILENCE), "no system's clips of silence were given (--silent)")
    return {name: reason for name, reason in why.items() if name in config.metrics}


def _title(reader: str, tuned: bool) -> str:
    return f"{reader} (the expert that tuned it)" if tuned else reader


def _summarize(name: str, rows: Sequence[dict[str, Any]], reader: str, config: LipreadConfig) -> Row:
    accepted = require_some(name, [row for row in rows if row["system"] == name])
    labels = {"system": name, "reader": reader, "clips": "real" if name == REAL else "generated"}
    values = {rate: _rate(accepted, rate) for rate in _rates(config)}
    if name != REAL:
        keys = {row["sample_key"] for row in accepted}
        real = [row for row in rows if row["system"] == REAL and row["sample_key"] in keys]
        if real and "wer" in values:
            values["wer_real"] = Value(rate_percent(real, "wer"))
        values |= summarize(accepted, {}, [m for m in ("lipscore",) if m in config.metrics]).values
    if name in config.silent:
        of_silence = require_some(silence_role(name), [row for row in rows if row["system"] == silence_role(name)])
        values |= summarize(of_silence, {}, sorted(_NEED_SILENCE & set(config.metrics))).values
    return Row(labels, len(accepted), values)


def _rate(rows: Sequence[Mapping[str, Any]], rate: str) -> Value:
    """The rate over all clips; the interval draws clips."""
    pairs_N2 = np.array([[row[rate], row[f"{rate}_of"]] for row in rows], dtype=np.float64)
    interval = None
    if len(rows) > 1:
        interval = bootstrap_interval(
            pairs_N2, statistic=lambda drawn_RN2: 100 * drawn_RN2[..., 0].sum(axis=1) / drawn_RN2[..., 1].sum(axis=1)
        )
    return Value(rate_percent(rows, rate), interval)


def _notes(config: LipreadConfig, inputs: Mapping[str, Artifact], experts: Mapping[str, bool | None]) -> list[str]:
    reader = inputs[READER]
    notes = [f"reader: {reader.root.resolve().name}, artifact {reader.manifest.artifact_id[:16]}"]
    if REAL not in inputs:
        notes.append("no real clips were given: how often the reader errs on them is not known")
    elif config.split == "train" and any(ref.id == inputs[REAL].manifest.artifact_id for ref in reader.manifest.inputs):
        notes.append("the reader learned from these very clips")
    notes += [f"{name}: tuned by this reader, which is no independent witness" for name, yes in experts.items() if yes]
    unknown = [name for name, yes in experts.items() if yes is None]
    if unknown:
        notes.append(f"no lineage is known of {', '.join(unknown)}: whether this reader tuned it cannot be told")
    return notes
