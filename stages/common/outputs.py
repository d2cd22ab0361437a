"""Where a result may go: never over a source, nor over a file that facediff did not write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path

from stages.common.errors import BadInputError, ConfigError, ResumeConflictError
from stages.common.records import read_record_of
from stages.common.writable import place_of, same_file

_USUAL_NAME_BYTES = 255
_ROOM_BYTES = 24
"""Left in a name for a number, and for what is written beside a result."""


def is_ours(path: Path) -> bool:
    """Whether facediff wrote this picture, video or sidecar, as far as it says so itself."""
    try:
        record = read_record_of(path)
    except (BadInputError, OSError):
        return False
    return record is not None and record.get("tool") == "facediff"


def may_replace(path: Path) -> bool:
    """Whether nothing is there, or an earlier result."""
    return not os.path.lexists(path) or (path.is_file() and is_ours(path))


def require_free(path: Path, sources: Iterable[Path], beside: Sequence[Path] = ()) -> None:
    """Raise unless ``path`` and what is written ``beside`` it may be written there, as a person asked for.

    ``ConfigError`` for a source, ``ResumeConflictError`` for a file that facediff did not write.
    """
    sources = list(sources)
    for wanted in (path, *beside):
        if any(same_file(wanted, source) for source in sources):
            raise ConfigError(f"{wanted} would be written over a source", "Choose another --out")
        if not wanted.is_dir() and not may_replace(wanted):
            raise ResumeConflictError(
                f"{wanted} is there, and facediff did not write it", "Choose another --out, or move that file away"
            )


def free_names(
    planned: Sequence[Path], sources: Iterable[Path], beside: Callable[[Path], Sequence[Path]]
) -> list[Path]:
    """Distinct paths that may be written, in order: those ``planned``, or with a number (``a-happy-2.jpg``).

    ``beside`` gives what is written beside a result, which has to be free as well.
    """
    taken = {place_of(source) for source in sources} | {_identity(source) for source in sources}
    taken.discard(None)

    def is_free(path: Path) -> bool:
        return all(
            place_of(each) not in taken and _identity(each) not in taken and may_replace(each)
            for each in (path, *beside(path))
        )

    chosen = []
    for wanted in planned:
        path = next(path for path in _numbered(fitting(wanted)) if is_free(path))
        taken |= {place_of(each) for each in (path, *beside(path))}
        chosen.append(path)
    return chosen


def fitting(path: Path) -> Path:
    """``path`` with its stem cut so that it, and what is written beside it, has a name that the file system takes."""
    room = _longest_name_bytes(path.parent) - _ROOM_BYTES - len(os.fsencode(path.suffix))
    stem = os.fsencode(path.stem)
    if len(stem) <= room:
        return path
    # A label at the end tells results apart; a character may be of several bytes, which must not be cut.
    label = path.stem.rpartition("-")[2]
    head = stem[: room - len(os.fsencode(label)) - 1].decode("utf-8", "ignore")
    return path.with_name(f"{head}-{label}{path.suffix}")


def _numbered(path: Path) -> Iterable[Path]:
    yield path
    yield from (path.with_stem(f"{path.stem}-{number}") for number in count(2))


def _identity(path: Path) -> object:
    """The same for all names of one file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _longest_name_bytes(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        return _USUAL_NAME_BYTES
