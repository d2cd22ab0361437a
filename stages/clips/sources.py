"""Talking people on disk, as the clips stage's input: any folder, GRID, and MEAD."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.common.emotions import parse_emotion
from stages.common.errors import BadInputError, ConfigError
from stages.common.manifest import Artifact
from stages.common.media_files import VIDEO_SUFFIXES, MediaFolder, is_shown, list_media, say_nothing
from stages.common.samples import SPLITS, SourceSample, describe_samples, require_folder, split_by_hash
from stages.common.tables import read_csv, safe_path
from stages.common.transcripts import Word, read_align

NOT_LISTED = "not listed"
MEAD_TEST_SUBJECTS = frozenset({"M003", "M023", "M033", "M040", "W009", "W021", "W040"})
_GRID_FPS, _MEAD_FPS = 25.0, 30.0
_COLUMNS = frozenset({"path", "text", "identity", "emotion", "split"})


@dataclass(frozen=True, slots=True)
class Clip(SourceSample):
    """One clip and what is known of it. ``sound_path`` is a file beside it; without one the clip's own sound counts."""

    sound_path: str | None = None
    text: str | None = None
    words: tuple[Word, ...] = ()
    emotion: str | None = None
    level: int | None = None
    identity: str | None = None
    split: str = "train"
    rejection: str | None = None


@dataclass(frozen=True, slots=True)
class Clips(Artifact):
    """A source artifact with its clips, sorted by path; ``fps`` is the rate at which the data set was recorded."""

    clips: tuple[Clip, ...]
    fps: float | None = None


def read_videos(
    root: Path,
    transcripts: Path | None = None,
    note: Callable[[str], None] = say_nothing,
    without: Collection[Path] = (),
) -> Clips:
    """Any clips below ``root``: those that ``transcripts`` lists, else all of them.

    ``transcripts`` is a CSV with a column ``path`` relative to ``root``, and any of text, identity, emotion and split.
    Without a split, 80, 10, 10 % of the identities (or paths) are train, val, test.
    What lies below ``without`` is left out, and ``note`` is told what else was.
    Raises ``BadInputError`` for a missing folder or a CSV that cannot be understood, naming the line.
    """
    require_folder(root, "clips")
    if transcripts is not None:
        return _describe(root, _read_transcripts(transcripts), None)
    paths = (path.relative_to(root).as_posix() for path in list_media(root, VIDEO_SUFFIXES, note, without))
    return _describe(root, (Clip(path, split=split_by_hash(path)) for path in paths), None)


def read_grid(root: Path) -> Clips:
    """GRID: a folder a speaker with ``.mpg`` clips and their ``.align`` files, beside them or in ``alignments``.

    ``SPEAKER.csv`` in ``root`` (clip, split, text) says which clips are used and for what; a clip that it does not list
    is rejected. Without it a speaker is of one split. Raises ``BadInputError``.
    """
    require_folder(root, "speakers")
    return _describe(root, (clip for folder in _folders(root) for clip in _read_speaker(root, folder)), _GRID_FPS)


def read_mead(root: Path, val_subjects: Iterable[str] = ()) -> Clips:
    """MEAD as distributed: SUBJECT/video/front/EMOTION/level_N/CLIP.mp4 and SUBJECT/audio/EMOTION/level_N/CLIP.m4a.

    The thesis's seven subjects are test, ``val_subjects`` are val, all others train. Raises ``BadInputError``.
    """
    require_folder(root, "subjects")
    held_out = frozenset(val_subjects)
    tests = sorted(held_out & MEAD_TEST_SUBJECTS)
    if tests:
        raise BadInputError(f"{', '.join(tests)} can only be test subjects", "Choose others for validation")
    subjects = _folders(root)
    absent = sorted(held_out - {folder.name for folder in subjects})
    if absent:
        raise BadInputError(f"{root} has no subject {', '.join(absent)}")
    return _describe(root, (clip for folder in subjects for clip in _read_subject(root, folder, held_out)), _MEAD_FPS)


def _describe(root: Path, clips: Iterable[Clip], fps: float | None) -> Clips:
    source, ordered = describe_samples(
        root, clips, "clips", lambda clip: [clip.source_path, *([clip.sound_path] if clip.sound_path else [])]
    )
    return Clips(source.manifest, source.root, ordered, fps)


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and is_shown(path.name))


def _read_transcripts(table: Path) -> Iterator[Clip]:
    for line, row in read_csv(table, frozenset({"path"}), _COLUMNS):
        try:
            path, identity, emotion = safe_path(row["path"]), row.get("identity") or None, row.get("emotion")
            yield Clip(
                path,
                text=row.get("text") or None,
                emotion=parse_emotion(emotion) if emotion else None,
                identity=identity,
                split=_parse_split(row.get("split") or split_by_hash(identity or path)),
            )
        except (ValueError, ConfigError) as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error


def _parse_split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"split {text!r} is none of {', '.join(SPLITS)}")
    return text


def _read_speaker(root: Path, folder: Path) -> Iterator[Clip]:
    table = root / f"{folder.name}.csv"
    listed = _read_speaker_table(table) if table.is_file() else None
    for video in MediaFolder(folder, {".mpg"}).files():
        beside, apart = video.with_suffix(".align"), root / "alignments" / folder.name / f"{video.stem}.align"
        align = beside if beside.is_file() else apart
        words = read_align(align) if align.is_file() else ()
        split, text = (listed or {}).get(video.stem, (split_by_hash(folder.name), None))
        yield Clip(
            video.relative_to(root).as_posix(),
            text=text or " ".join(word.word for word in words) or None,
            words=words,
            identity=folder.name,
            split=split,
            rejection=None if listed is None or video.stem in listed else NOT_LISTED,
        )


def _read_speaker_table(table: Path) -> dict[str, tuple[str, str | None]]:
    listed = {}
    for line, row in read_csv(table, frozenset({"clip", "split"})):
        try:
            listed[row["clip"]] = (_parse_split(row["split"]), row.get("text") or None)
        except ValueError as error:
            raise BadInputError(f"{table}, line {line}: {error}") from error
    return listed


def _read_subject(root: Path, folder: Path, val_subjects: frozenset[str]) -> Iterator[Clip]:
    split = "test" if folder.name in MEAD_TEST_SUBJECTS else "val" if folder.name in val_subjects else "train"
    front = folder / "video" / "front"
    for video in sorted(path for path in front.glob("*/level_*/*.mp4") if is_shown(path.name)):
        try:
            emotion, level = parse_emotion(video.parts[-3]), int(video.parts[-2].removeprefix("level_"))
        except (ConfigError, ValueError) as error:
            raise BadInputError(f"{video}: {error}") from error
        sound = folder / "audio" / video.relative_to(front).with_suffix(".m4a")
        yield Clip(
            video.relative_to(root).as_posix(),
            sound_path=sound.relative_to(root).as_posix() if sound.is_file() else None,
            emotion=emotion,
            level=level,
            identity=folder.name,
            split=split,
        )
