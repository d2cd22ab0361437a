"""What a person sees: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import Task as RichTask
    from rich.progress import TaskID

    from stages.common.progress import Task

PLAIN_INTERVAL_S = 10.0
_NOBODY_READS = frozenset({errno.EPIPE, errno.EBADF, errno.EIO, errno.ENOSPC})


def forgive_streams() -> None:
    """Let what stdout and stderr cannot show, or do not exist to show, be no error: results are saved all the same."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def emit(payload: Mapping[str, Any], as_json: bool, render: Callable[[Console], None]) -> None:
    """Show a result on stdout: one JSON object if ``as_json``, else what ``render`` prints. A closed pipe is fine."""
    try:
        if as_json:
            utf_8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
            print(json.dumps(payload, indent=2, ensure_ascii=not utf_8), flush=True)
        else:
            render(_quiet_console())
            sys.stdout.flush()
    except (OSError, ValueError) as error:
        if not _is_closed(error):
            raise
        _silence_stdout()


def _is_closed(error: OSError | ValueError) -> bool:
    """Whether a stream failed because nobody reads it any more; Python's word for a closed one is ``ValueError``."""
    if isinstance(error, OSError):
        return isinstance(error, BrokenPipeError) or error.errno in _NOBODY_READS
    return "closed" in str(error)


def print_error(message: str, exit_code: int, as_json: bool) -> None:
    """One line on stderr, and with ``as_json`` an object with ``error`` and ``exit_code`` on stdout."""
    import typer

    line = " ".join(message.split())
    with suppress(OSError, ValueError):
        typer.secho(f"facediff: {line}", err=True, fg="red")
    if as_json:
        emit({"error": line, "exit_code": exit_code}, True, lambda _console: None)


def _quiet_console(*, stderr: bool = False) -> Console:
    """A console that raises ``BrokenPipeError`` where rich would leave with exit code 1."""
    from rich.console import Console

    class QuietPipeConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return QuietPipeConsole(stderr=stderr, highlight=False, soft_wrap=True)


def _silence_stdout() -> None:
    # Python flushes stdout once more when it exits, which would complain about the pipe again.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class RichProgress:
    """``stages.common.progress.Progress`` on stderr: bars with rate and remaining time, or a plain line at times."""

    def __init__(self, *, plain: bool | None = None) -> None:
        self._console = _quiet_console(stderr=True)
        self._plain = not self._console.is_terminal if plain is None else plain
        self._bars: Bars | None = None
        self._open_tasks = 0

    @contextmanager
    def task(self, description: str, total: int | None, done: int = 0) -> Iterator[Task]:
        if self._plain:
            line = _PlainTask(self.note, description, total, done)
            yield line
            line.finish()
            return
        if self._bars is None:
            self._bars = _make_bars(self._console)
        self._open_tasks += 1
        self._bars.start()
        bar = _BarTask(self._bars, self._bars.add_task(description, total=total, completed=done, fields=""))
        try:
            yield bar
        finally:
            self._open_tasks -= 1
            if self._open_tasks == 0:
                self._bars.stop()
                self._bars = None

    def note(self, message: str) -> None:
        with suppress(OSError, ValueError):
            self._console.print(message, markup=False)


class _BarTask:
    def __init__(self, bars: Bars, task_id: TaskID) -> None:
        self._bars = bars
        self._id = task_id

    def advance(self, count: int = 1, /, **fields: str | float) -> None:
        self._bars.update(self._id, advance=count)
        if fields:
            self._bars.update(self._id, fields=format_fields(fields))


class _PlainTask:
    def __init__(self, say: Callable[[str], None], description: str, total: int | None, done: int) -> None:
        self._say = say
        self._description = description
        self._total = total
        self._before = self._done = done
        self._fields: dict[str, str | float] = {}
        self._started_s = self._said_s = time.monotonic()

    def advance(self, count: int = 1, /, **fields: str | float) -> None:
        self._done += count
        self._fields.update(fields)
        if time.monotonic() - self._said_s >= PLAIN_INTERVAL_S:
            self._said_s = time.monotonic()
            self._say(self._line())

    def finish(self) -> None:
        self._say(self._line())

    def _line(self) -> str:
        elapsed_s = time.monotonic() - self._started_s
        rate_hz = (self._done - self._before) / elapsed_s if elapsed_s > 0 else 0.0
        of_total = "" if self._total is None else f"/{self._total}"
        parts = [f"{self._description}: {self._done}{of_total}", f"{rate_hz:.3g}/s"]
        if rate_hz > 0 and self._total is not None and self._done < self._total:
            parts.append(f"{format_duration((self._total - self._done) / rate_hz)} left")
        if self._fields:
            parts.append(format_fields(self._fields))
        return ", ".join(parts)


def format_fields(fields: Mapping[str, str | float]) -> str:
    return " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in fields.items())


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest_s:02d}" if hours else f"{minutes}:{rest_s:02d}"


def format_size(count: int) -> str:
    """A number of bytes for people: ``31.2 MiB``."""
    if count < 1024:
        return f"{count} bytes"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min((count.bit_length() - 1) // 10, len(units))
    return f"{count / 1024**power:.1f} {units[power - 1]}"


def _make_bars(console: Console) -> Bars:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: RichTask) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.3g}/s" if speed else "", style="progress.data.speed")

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[fields]}", markup=False),
        console=console,
    )
