"""An expert's file from its publisher into the model store, kept only if its checksum is the known one."""

from __future__ import annotations

from pathlib import Path

from stages.common.errors import MissingModelError
from stages.common.experts import Expert, checksum_of, expert_named, find_expert, require_expert, weights_folder
from stages.common.hub.download import fetch_url
from stages.common.progress import Progress


def absent_experts(names: list[str]) -> list[Expert]:
    """Those of ``names`` that are to be fetched, each once; the others are here and as they should be.

    Raises ``ConfigError`` for an unknown name, and ``MissingModelError`` for a file that is here and wrong, or that
    cannot be fetched because nothing says what it should be.
    """
    absent = []
    for name in dict.fromkeys(names):
        expert = expert_named(name)
        if find_expert(name) is not None:
            require_expert(name)
        elif expert.checksum is None:
            raise MissingModelError(f"{name} cannot be fetched: no checksum of it is known", expert.way_to_get)
        else:
            absent.append(expert)
    return absent


def fetch_expert(expert: Expert, progress: Progress) -> Path:
    """The file in ``weights_folder()``. Raises ``MissingModelError``; what a broken connection brought is continued."""
    path = weights_folder() / expert.file_name
    with progress.task(f"fetch {expert.name}", expert.size_bytes) as task:
        fetch_url(
            expert.source,
            path,
            expert.size_bytes,
            lambda part: checksum_of(expert, part) == expert.checksum,
            task.advance,
        )
    return path
