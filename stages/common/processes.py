"""The processes of one run: one as a rule, several under ``accelerate launch``. The first leads: it alone writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from stages.common.errors import FacediffError

if TYPE_CHECKING:
    from accelerate import PartialState

ResultT = TypeVar("ResultT")

PATIENCE = timedelta(days=365)
"""How long processes wait for one another: the leader may encode a whole data set, or hash one, while the others wait.

The default, 10 minutes with NCCL, would end them. One that died is noticed by the launcher, which stops the others.
"""


def process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def process_rank() -> int:
    """0 for the process that leads."""
    return int(os.environ.get("RANK", "0"))


def is_leader() -> bool:
    return process_rank() == 0


def agreed(compute: Callable[[], ResultT], device: str) -> ResultT:
    """What the leader computes, in every process; its ``FacediffError`` is raised in every process."""
    if process_count() == 1:
        return compute()
    from accelerate.utils import broadcast_object_list

    join_processes(device)
    answer: list[object] = [None]
    if is_leader():
        try:
            answer = [compute()]
        except FacediffError as error:
            answer = [error]
    broadcast_object_list(answer)
    if isinstance(answer[0], FacediffError):
        raise answer[0]
    return answer[0]  # type: ignore[return-value]


@contextmanager
def leader_first(device: str) -> Iterator[None]:
    """The leader runs the block before the others do, so that they find what it wrote."""
    if process_count() == 1:
        yield
        return
    with join_processes(device).main_process_first():
        yield


def wait_for_all(device: str) -> None:
    """Return when every process has come here."""
    if process_count() > 1:
        join_processes(device).wait_for_everyone()


def join_processes(device: str) -> PartialState:
    """accelerate's view of the processes, which meet here the first time, to wait ``PATIENCE`` for one another."""
    from accelerate import PartialState

    if process_count() == 1:
        return PartialState(cpu=device == "cpu")
    return PartialState(cpu=device == "cpu", timeout=PATIENCE)
