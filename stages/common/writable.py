"""Whether a result can be written where it is wanted, found out before any long computation."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from stages.common.errors import BadInputError

TEMPORARY_PREFIX = ".facediff-"


def temporary_path(path: Path, suffix: str = ".tmp") -> Path:
    """Where ``path`` is written before it is complete: hidden, short whatever the name, and the same at every try."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    return path.with_name(f"{TEMPORARY_PREFIX}{digest}{suffix}")


def check_writable(path: Path, *, create: bool) -> None:
    """Raise ``BadInputError`` unless ``path`` can be written; ``create`` makes its folder and really tries."""
    folder = path.parent
    try:
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        if create:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        else:
            while not folder.exists():
                folder = folder.parent
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise NotADirectoryError(20, f"{folder} is not a writable folder")
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror or error}", reason="unwritable") from error


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths lead to one file: through ``..``, a link to a folder or to the file, or a hard link."""
    try:
        return a.samefile(b)
    except OSError:
        return place_of(a) == place_of(b)


def place_of(path: Path) -> Path:
    """The same for all ways of writing a path, also of a file that is not there yet."""
    return Path(os.path.realpath(path.parent)) / path.name
