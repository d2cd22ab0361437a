"""The signals that ask a process to stop: Ctrl-C, a shutdown, and a terminal that closes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def handled(handle: Callable[[int, object], None]) -> Iterator[None]:
    """Give the signals to ``handle`` for as long as the block runs, but those that are ignored (as under nohup)."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python lets no other thread handle signals.
        return
    numbers = [number for number in STOPPING if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Let every one of the signals raise ``KeyboardInterrupt``, so that files that are half written are removed."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    with handled(interrupt):
        yield
