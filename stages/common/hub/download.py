"""One file from a hub to disk: continued where an earlier try broke off, and kept only if its content is right."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

from stages.common.errors import MissingModelError
from stages.common.hashing import hash_file
from stages.common.hub.address import HubAddress, hub_errors
from stages.common.manifest import OutputFile

_PARTIAL_SUFFIX = ".part"


class _CountedFile(io.BufferedWriter):
    """Tells ``advance`` how many bytes were written."""

    def __init__(self, path: Path, advance: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._advance = advance

    def write(self, content: Any, /) -> int:
        self._advance(len(content))
        return super().write(content)


def fetch_bytes(address: HubAddress, commit: str, path: str) -> bytes:
    """A small file. Raises ``MissingModelError``."""
    stream = io.BytesIO()
    _get(address, commit, path, stream)
    return stream.getvalue()


def fetch_file(
    address: HubAddress, commit: str, wanted: OutputFile, folder: Path, advance: Callable[[int], None]
) -> None:
    """Put a file of a manifest into ``folder``; ``advance`` counts bytes, those that are there already too.

    Raises ``MissingModelError`` when it cannot be had (what has come stays, to be continued) or is not the file that
    the manifest describes (it is thrown away).
    """
    path = folder / wanted.path
    if path.is_file() and path.stat().st_size == wanted.bytes and hash_file(path) == wanted.sha256:
        return advance(wanted.bytes)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + _PARTIAL_SUFFIX)
    if partial.is_file() and partial.stat().st_size > wanted.bytes:
        partial.unlink()
    with _CountedFile(partial, advance) as stream:
        advance(stream.tell())
        _get(address, commit, wanted.path, stream, resume_size=stream.tell(), expected_size=wanted.bytes)
    if hash_file(partial) != wanted.sha256:
        partial.unlink()
        raise MissingModelError(
            f"{wanted.path} of {address} is not the file that its manifest describes", "Try again, or tell its owner"
        )
    partial.replace(path)
    return None


def _get(
    address: HubAddress,
    commit: str,
    path: str,
    stream: Any,
    *,
    resume_size: int = 0,
    expected_size: int | None = None,
) -> None:
    disable_progress_bars("huggingface_hub.http_get")  # ours counts the bytes of all files
    # Compressed on the way, a file could not be continued in the middle.
    headers = {**build_hf_headers(token=address.token), "Accept-Encoding": "identity"}
    with hub_errors(address, MissingModelError):
        url = hf_hub_url(address.repo, path, revision=commit, endpoint=address.endpoint)
        http_get(url, stream, headers=headers, resume_size=resume_size, expected_size=expected_size)
