"""Byte-reproducible tars: the same members give the same file, on any machine and day."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_tar(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Yield a function that appends (name, content) with fixed times, owners and modes; fsync at the end."""
    with path.open("wb") as stream:
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:

            def append(name: str, content: bytes) -> None:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(content))

            yield append
        stream.flush()
        os.fsync(stream.fileno())


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write (name, content) pairs in the given order."""
    with open_tar(path) as append:
        for name, content in members:
            append(name, content)


def read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    """The (name, content) pairs of a tar of files."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                yield member.name, stream.read()


def member_places(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and size of each member's content, by name."""
    with tarfile.open(path, "r:") as tar:
        return {member.name: (member.offset_data, member.size) for member in tar}
