"""Reading the data of coming steps while the network works on this one."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

DataT = TypeVar("DataT")


class Lookahead(Generic[DataT]):
    """``read(step)``, begun in threads ``workers`` steps early: what is read depends on the step alone."""

    def __init__(self, read: Callable[[int], DataT], workers: int) -> None:
        self._read = read
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
        self._coming: dict[int, Future[DataT]] = {}
        self.waited_s = 0.0

    def __call__(self, step: int) -> DataT:
        """What belongs to ``step``. Raises what ``read`` raised; ``waited_s`` adds up the time lost here."""
        for coming in range(step, step + self._workers + 1):
            if coming not in self._coming:
                self._coming[coming] = self._pool.submit(self._read, coming)
        started = time.perf_counter()
        result = self._coming.pop(step).result()
        self.waited_s += time.perf_counter() - started
        return result
