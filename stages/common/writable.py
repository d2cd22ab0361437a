"""Whether a result can be written where it is wanted, found out before any long computation."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from stages.common.errors import BadInputError


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
