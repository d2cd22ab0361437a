"""How a stage reports that it is getting on, without knowing who looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    def advance(self, count: int = 1, /, **fields: str | float) -> None:
        """``count`` more units are done; ``fields`` are shown beside the bar (loss, images/s, rejected)."""


class Progress(Protocol):
    def task(self, description: str, total: int | None, done: int = 0) -> AbstractContextManager[Task]:
        """Open a task of ``total`` units (None: nobody knows), of which ``done`` were finished before."""

    def note(self, message: str) -> None:
        """Say one line once (which detector was taken, what was resumed)."""


class _SilentTask:
    def advance(self, count: int = 1, /, **fields: str | float) -> None:
        pass


class SilentProgress:
    """Reports nothing; the default for library use and tests."""

    @contextmanager
    def task(self, description: str, total: int | None, done: int = 0) -> Iterator[Task]:
        yield _SilentTask()

    def note(self, message: str) -> None:
        pass
