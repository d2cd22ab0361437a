"""Content hashes of canonical JSON and files in lowercase hex: SHA-256, but where others know a file by git's id."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

JsonValue = Any


def canonical_json(value: JsonValue) -> bytes:
    """UTF-8 JSON, keys sorted, no spaces: equal values give equal bytes. NaN and infinities raise ``ValueError``."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def hash_json(value: JsonValue) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_git_blob(path: Path) -> str:
    """The id that git gives a file's content: SHA-1 of ``blob SIZE\\0`` and the content."""
    header = b"blob %d\0" % path.stat().st_size
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.sha1(header, usedforsecurity=False)).hexdigest()


def hash_listing(entries: Iterable[tuple[str, int | str]]) -> str:
    """One hash for a set of (relative POSIX path, size or digest) pairs, whatever their order."""
    return hash_json(sorted(entries))
