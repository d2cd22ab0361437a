"""One file from a server to disk: continued where an earlier try broke off, and kept only if its content is right."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

from stages.common.errors import MissingModelError
from stages.common.hashing import hash_file
from stages.common.hub.address import HubAddress, hub_errors, server_errors
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
    _get_from_hub(address, commit, path, stream)
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
    with _arriving(path, wanted.bytes, advance) as stream:
        _get_from_hub(address, commit, wanted.path, stream, resume_size=stream.tell(), expected_size=wanted.bytes)
    if not _accept(path, lambda partial: hash_file(partial) == wanted.sha256):
        raise MissingModelError(
            f"{wanted.path} of {address} is not the file that its manifest describes", "Try again, or tell its owner"
        )
    return None


def fetch_url(
    url: str, path: Path, size_bytes: int | None, is_right: Callable[[Path], bool], advance: Callable[[int], None]
) -> None:
    """Put what lies at ``url`` at ``path`` if it ``is_right``; ``advance`` as in ``fetch_file``.

    Without a known size, an earlier try is not continued. Raises ``MissingModelError`` as ``fetch_file``.
    """
    with _arriving(path, size_bytes, advance) as stream, server_errors(url, MissingModelError):
        _get(url, stream, token=False, resume_size=stream.tell(), expected_size=size_bytes)
    if not _accept(path, is_right):
        raise MissingModelError(f"{url} does not hold the {path.name} that is known; nothing of it is kept")


@contextmanager
def _arriving(path: Path, size_bytes: int | None, advance: Callable[[int], None]) -> Iterator[_CountedFile]:
    """The stream that writes the part of ``path``, behind what is there of it already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    if partial.is_file() and (size_bytes is None or partial.stat().st_size > size_bytes):
        partial.unlink()
    with _CountedFile(partial, advance) as stream:
        advance(stream.tell())
        yield stream


def _accept(path: Path, is_right: Callable[[Path], bool]) -> bool:
    """Give a part that has come as a whole its name, or throw it away."""
    partial = _partial(path)
    right = is_right(partial)
    if right:
        partial.replace(path)
    else:
        partial.unlink()
    return right


def _partial(path: Path) -> Path:
    return path.with_name(path.name + _PARTIAL_SUFFIX)


def _get_from_hub(
    address: HubAddress, commit: str, path: str, stream: Any, *, resume_size: int = 0, expected_size: int | None = None
) -> None:
    with hub_errors(address, MissingModelError):
        url = hf_hub_url(address.repo, path, revision=commit, endpoint=address.endpoint)
        _get(url, stream, token=address.token, resume_size=resume_size, expected_size=expected_size)


def _get(
    url: str, stream: Any, *, token: Literal[False] | None, resume_size: int = 0, expected_size: int | None = None
) -> None:
    disable_progress_bars("huggingface_hub.http_get")  # ours counts the bytes of all files
    logging.getLogger("huggingface_hub.file_download").setLevel(logging.ERROR)  # it tells of each new try
    # Compressed on the way, a file could not be continued in the middle.
    headers = {**build_hf_headers(token=token), "Accept-Encoding": "identity"}
    http_get(url, stream, headers=headers, resume_size=resume_size, expected_size=expected_size)
