"""One bad file never ends a batch: what any exception on one file means, and where a bug's traceback is kept."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

from stages.common.errors import BadInputError, FacediffError
from stages.common.weights import cache_folder

BUG = "internal error"
"""The reason under which a file is counted that met a bug and not a fault of its own."""
OUT_OF_MEMORY = "out of memory"
_LOGS = "logs"
_KEPT_LOGS = 20
_STARTED = time.strftime("%Y%m%d-%H%M%S")


def concerns_all(error: Exception) -> bool:
    """Whether an exception is about settings, models or the user's wish to stop, and not about one file."""
    return isinstance(error, FacediffError) and not isinstance(error, BadInputError)


def as_bad_input(error: Exception, name: Path | str) -> BadInputError:
    """What an exception on the file ``name`` comes to: a clear line, and a reason to count it by.

    The traceback of what nobody foresaw goes into a log file, which the line names.
    """
    if isinstance(error, BadInputError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return BadInputError(f"{name} needs more memory than there is", "Shrink it first", reason=OUT_OF_MEMORY)
    if isinstance(error, OSError) and error.strerror:
        place = f" ({error.filename})" if error.filename and str(error.filename) != str(name) else ""
        return BadInputError(f"{name}: {error.strerror}{place}", reason="unreadable")
    log = _log_traceback(error, name)
    kept = "its traceback could not be written" if log is None else f"its traceback is in {log}"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return BadInputError(f"{name} met a bug ({what})", f"Please report it; {kept}", reason=BUG)


def note_bugs(statuses: Iterable[str], noun: str, say: Callable[[str], None]) -> None:
    """Say how many samples (``noun`` names them) met a bug, and where the tracebacks are."""
    count = sum(status == BUG for status in statuses)
    if count:
        say(f"{count} {noun} met a bug and were left out; please report it with the traceback in {logs_folder()}")


def logs_folder() -> Path:
    """Where the tracebacks of contained bugs are kept."""
    return cache_folder() / _LOGS


def _log_traceback(error: Exception, name: Path | str) -> Path | None:
    """Append to this process's log; None where that cannot be written, which must not hide the error itself."""
    folder = logs_folder()
    log = folder / f"{_STARTED}-{os.getpid()}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {name}\n{''.join(traceback.format_exception(error))}\n")
        for old in sorted(folder.glob("*.log"))[:-_KEPT_LOGS]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return log
