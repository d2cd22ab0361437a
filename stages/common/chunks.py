"""Samples done in chunks of a fixed size and order, by one process or several.

A chunk is done when its table exists, which is written last; so a run that was killed goes on with the next chunk and
ends with the same bytes, whatever the number of workers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_sentinel
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2

from stages.common.errors import Interrupted
from stages.common.stage import RunContext, work_folder

SampleT = TypeVar("SampleT")
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Chunk(Generic[SampleT]):
    """Consecutive samples; ``name`` is unique among the chunks of a run."""

    name: str
    samples: tuple[SampleT, ...]


Worker = Callable[[Chunk[SampleT]], Iterator[None]]
"""Makes one sample of a chunk a step, and after the last writes the chunk's table, atomically."""


def table_path(out: Path, name: str) -> Path:
    """Where a chunk's table lies while the run goes on."""
    return work_folder(out) / f"{name}.parquet"


def run_chunks(
    start: Callable[[], Worker[SampleT]], chunks: Sequence[Chunk[SampleT]], context: RunContext, task: str
) -> None:
    """Work on all chunks whose table is not there, in ``context.workers`` processes.

    ``start`` makes a worker, once a process; to cross into one it must be picklable (a ``functools.partial``).
    Raises ``Interrupted`` when asked to stop, between chunks, and whatever a worker raises.
    """
    todo = [chunk for chunk in chunks if not table_path(context.out, chunk.name).is_file()]
    total = sum(len(chunk.samples) for chunk in chunks)
    done = total - sum(len(chunk.samples) for chunk in todo)
    with context.progress.task(task, total=total, done=done) as bar:
        if context.workers > 1 and len(todo) > 1:
            _run_pool(start, todo, context, bar.advance)
        elif todo:
            cv2.setNumThreads(1)
            worker = start()
            for chunk in todo:
                _stop_if_asked(context)
                for _ in worker(chunk):
                    bar.advance()


def _run_pool(
    start: Callable[[], Worker[SampleT]],
    todo: list[Chunk[SampleT]],
    context: RunContext,
    advance: Callable[[int], None],
) -> None:
    pool = ProcessPoolExecutor(
        max_workers=min(context.workers, len(todo)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_process,
        initargs=(start,),
    )
    with pool:
        waiting: dict[Future[None], int] = {pool.submit(_work_on, chunk): len(chunk.samples) for chunk in todo}
        try:
            while waiting:
                _stop_if_asked(context)
                finished, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    advance(waiting.pop(future))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _stop_if_asked(context: RunContext) -> None:
    if context.should_stop():
        raise Interrupted("stopped; the finished part is kept", "Give the same command again to go on")


_worker: Worker[Any] | None = None


def _start_process(start: Callable[[], Worker[Any]]) -> None:
    """Make the worker once a process; the parent alone answers to signals, and a process never outlives it."""
    global _worker  # noqa: PLW0603
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker = start()
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)


def _work_on(chunk: Chunk[Any]) -> None:
    assert _worker is not None
    for _ in _worker(chunk):
        pass
