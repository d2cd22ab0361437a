"""Which files an edit is of: files, folders and patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import BadInputError, ConfigError
from stages.common.media_files import PHOTO_SUFFIXES, VIDEO_SUFFIXES, list_media, say_nothing

_SUFFIXES = PHOTO_SUFFIXES | VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Source:
    """A photo or a video; ``name`` is its path below the folder that was given, or its own name."""

    path: Path
    name: Path

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def find_sources(given: Sequence[Path], out: Path | None, note: Callable[[str], None] = say_nothing) -> list[Source]:
    """Files as they are, all photos and videos below folders, and what patterns (``*``, ``**``, ``?``) match; sorted.

    What lies in the folder ``out`` is left out of folders: it may be an earlier run's results. ``note`` is told what
    was left out. Raises ``ConfigError`` for a folder without ``out``, where results would lie about, and
    ``BadInputError`` for one without pictures.
    """
    sources: list[Source] = []
    for path in given:
        if path.is_dir():
            if out is None:
                raise ConfigError(f"{path} is a folder", "Say with --out where its results go")
            sources += _below(path, out, note)
        elif not path.exists() and set("*?[") & set(str(path)):
            sources += _matches(path)
        else:
            sources.append(Source(path, Path(path.name)))
    return list(dict.fromkeys(sources))


def _below(folder: Path, out: Path, note: Callable[[str], None]) -> list[Source]:
    found = list_media(folder, _SUFFIXES, note, without=[out])
    if not found:
        raise BadInputError(f"{folder} holds no photo and no video", reason="empty")
    return [Source(path, path.relative_to(folder)) for path in found]


def _matches(pattern: Path) -> list[Source]:
    root = Path(pattern.anchor)
    matches = root.glob(str(pattern.relative_to(root)))
    found = sorted(path for path in matches if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not pattern.name.startswith("."):
        found = [path for path in found if not path.name.startswith(".")]
    if not found:
        raise BadInputError(f"no photo or video matches {pattern}", reason="missing")
    return [Source(path, Path(path.name)) for path in found]
