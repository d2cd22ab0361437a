"""Photos and videos below a folder, and what there is not one of them though it looks as if."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"),
        *(".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".jpf", ".jpx"),
    }
)
"""What files of photos end in."""
VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".mpg", ".mpeg", ".avi", ".wmv", ".flv"),
        *(".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".ogv"),
    }
)
"""What files of videos end in."""
_HIDDEN, _OTHER, _RESULTS = "hidden", "of another kind", "in the output folder"
_NOT_FOR_PEOPLE = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
"""Folders in which archives, network disks and systems keep copies, previews and what was deleted."""


def is_shown(name: str) -> bool:
    """Whether a file or folder of this name is meant for people, and not hidden or kept by a system."""
    return not name.startswith(".") and name not in _NOT_FOR_PEOPLE


@dataclass(slots=True)
class MediaFolder:
    """The files below ``root`` that end in one of ``suffixes``.

    Hidden files and folders (``._`` twins, ``.ipynb_checkpoints`` and our own temporary files among them) and copies
    that systems keep are left out, and so is what lies below ``without``. Links to folders are followed, each folder
    once. ``skipped`` counts what was left out, by reason, when all was listed.
    """

    root: Path
    suffixes: Collection[str]
    without: Collection[Path] = ()
    skipped: Counter[str] = field(default_factory=Counter)

    def files(self) -> list[Path]:
        """Paths that begin with ``root``, sorted."""
        self.skipped = Counter()
        found = []
        left_out = {path.resolve() for path in self.without} - {self.root.resolve()}
        for folder, names in _folders(self.root):
            place = folder.resolve()
            inside = any(place.is_relative_to(other) for other in left_out)
            for name in names:
                reason = _RESULTS if inside else self._why_not(folder.relative_to(self.root), name)
                if reason is None:
                    found.append(folder / name)
                elif reason is not _RESULTS or self._is_wanted(name):
                    self.skipped[reason] += 1
        return sorted(found, key=lambda path: path.relative_to(self.root).as_posix())

    @property
    def note(self) -> str:
        """One line on what was left out; empty where that is nothing."""
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(self.skipped.items()))
        return f"{self.root}: skipped {counts}" if counts else ""

    def _is_wanted(self, name: str) -> bool:
        return Path(name).suffix.lower() in self.suffixes

    def _why_not(self, folder: Path, name: str) -> str | None:
        for part in (*folder.parts, name):
            if part in _NOT_FOR_PEOPLE:
                return f"in {part}"
            if not is_shown(part):
                return _HIDDEN
        return None if self._is_wanted(name) else _OTHER


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below ``root`` with the names of its files: first what is really there, then what links lead to."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            for place, folders, names in os.walk(start):
                status = Path(place).stat()
                if (status.st_dev, status.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((status.st_dev, status.st_ino))
                folders.sort()
                links += [path for name in folders if (path := Path(place, name)).is_symlink()]
                yield Path(place), sorted(name for name in names if Path(place, name).is_file())
        waiting = links


def list_media(
    root: Path, suffixes: Collection[str], note: Callable[[str], None], without: Collection[Path] = ()
) -> list[Path]:
    """As ``MediaFolder.files``, where ``note`` is told what was skipped."""
    folder = MediaFolder(root, suffixes, without)
    files = folder.files()
    if folder.note:
        note(folder.note)
    return files


def say_nothing(_line: str) -> None:
    """For callers to whom notes do not matter."""
