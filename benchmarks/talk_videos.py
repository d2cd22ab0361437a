"""``facediff talk`` on whole videos: how fast it is, and folders of its results for `facediff eval lipread`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.tables import print_table
from stages.common.errors import ConfigError
from stages.common.face.detect import DlibDetector
from stages.common.manifest import Artifact
from stages.common.media.sound import SAMPLE_RATE_HZ, encode_wav
from stages.common.progress import SilentProgress
from stages.common.talking import TalkingModel
from stages.talk.config import TalkConfig
from stages.talk.run import talk

SOUNDS = ("own", "other", "silence")
"""Each clip with its own sound, with that of a sentence unlike its own, and with none: a folder each."""


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A clip's video, what is said in it, how many frames it has, and a video in which something else is said."""

    path: Path
    text: str
    frames: int
    fps: float
    other: Path


def find_videos(clips: Artifact, root: Path, split: str, limit: int) -> list[SourceVideo]:
    """The first usable clips of a split; ``root`` is the folder that their paths start from."""
    table = pq.read_table(clips.root / "clips.parquet").to_pylist()
    rows = [row for row in table if row["split"] == split and row["status"] == "ok"]
    fps = float(clips.manifest.config.get("fps") or 25)
    videos = [
        SourceVideo(
            root / row["source_path"], row["text"] or "", row["frames"], fps, root / _unlike(row, rows)["source_path"]
        )
        for row in rows[:limit]
    ]
    missing = [video.path for video in videos if not video.path.is_file()]
    if missing or not videos:
        raise ConfigError(f"{missing[0] if missing else root} does not exist", "Give --videos, the root of the clips")
    return videos


def _unlike(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row that shares the fewest words with this one; of several, the first behind it."""
    at, words = rows.index(row), set((row["text"] or "").split())
    return min([*rows[at + 1 :], *rows[:at], row], key=lambda other: len(words & set((other["text"] or "").split())))


def dub_videos(
    model: TalkingModel, videos: Sequence[SourceVideo], out: Path, config: TalkConfig, sounds: Sequence[str] = SOUNDS
) -> dict[str, Any]:
    """Write ``out/<sound>/<clip>.mp4`` and beside it as .txt what the clip itself says. Loading models is not timed."""
    detector, seconds, frames = DlibDetector(), 0.0, 0
    for name in sounds:
        (out / name).mkdir(parents=True, exist_ok=True)
        for video in videos:
            sound = _sound(name, video, out)
            target = out / name / f"{video.path.stem}.mp4"
            started = time.perf_counter()
            made = talk(
                video.path, sound, target, model=model, detector=detector, config=config, progress=SilentProgress()
            )
            seconds, frames = seconds + time.perf_counter() - started, frames + made.counts.frames
            target.with_suffix(".txt").write_text(video.text + "\n", "utf-8")
    return {"videos": len(videos), "frames": frames, "frames_hz": frames / seconds, "sounds": list(sounds)}


def _sound(name: str, video: SourceVideo, out: Path) -> Path:
    if name == "silence":
        return _silence(video, out)
    return video.other if name == "other" else video.path


def _silence(video: SourceVideo, out: Path) -> Path:
    """A silence as long as a video."""
    path = out / f"silence-{video.frames}.wav"
    path.write_bytes(encode_wav(np.zeros(round(video.frames / video.fps * SAMPLE_RATE_HZ), np.float32)))
    return path


def print_videos(result: Mapping[str, Any]) -> None:
    print_table(
        "`facediff talk` on whole videos, from file to file",
        ["videos", "sounds", "frames", "frames/s"],
        [[str(result["videos"]), ", ".join(result["sounds"]), str(result["frames"]), f"{result['frames_hz']:.2f}"]],
    )
