"""The samples of a data set: their names, their splits, and the account of those that are not used."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from stages.common.engine import describe_source
from stages.common.errors import BadInputError, TooManyRejectedError
from stages.common.hashing import hash_json, hash_listing
from stages.common.manifest import Artifact, Counts

OK = "ok"
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class SourceSample:
    """One file of a source, by its POSIX path relative to the source's folder."""

    source_path: str


SampleT = TypeVar("SampleT", bound=SourceSample)


def describe_samples(
    root: Path, samples: Iterable[SampleT], noun: str, files: Callable[[SampleT], Iterable[str]]
) -> tuple[Artifact, tuple[SampleT, ...]]:
    """The source artifact of samples, and the samples sorted by path.

    Its identity covers the paths and sizes of each sample's ``files``, and all that is said of the samples.
    Raises ``BadInputError`` for no samples (``noun`` names them) or a path that occurs twice.
    """
    ordered = tuple(sorted(samples, key=lambda s: s.source_path))
    if not ordered:
        raise BadInputError(f"no {noun} in {root}")
    for before, sample in pairwise(ordered):
        if before.source_path == sample.source_path:
            raise BadInputError(f"{sample.source_path} is listed twice")
    listing = hash_listing((path, _size_bytes(root / path)) for s in ordered for path in files(s))
    return describe_source(root, hash_json([listing, hash_json([asdict(s) for s in ordered])])), ordered


def require_folder(root: Path, noun: str) -> None:
    if not root.is_dir():
        raise BadInputError(f"{root} is not a folder", f"Give the folder that holds the {noun}")


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def split_by_hash(key: str) -> str:
    """80 % train, 10 % val, 10 % test, decided by the SHA-256 of ``key`` alone."""
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    return "train" if position < 0.8 else "val" if position < 0.9 else "test"


def sample_key(source_path: str) -> str:
    """A readable name that is unique and free of dots (a tar of samples splits names at the first dot)."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(source_path).stem)[:40]
    return f"{stem}-{hashlib.sha256(source_path.encode()).hexdigest()[:10]}"


def count_statuses(
    statuses: Iterable[str], noun: str, max_rejected: float, asked_for: frozenset[str] = frozenset()
) -> Counts:
    """Count "ok" and each reason. ``asked_for`` are reasons that are no fault of the sample.

    Raises ``TooManyRejectedError`` when more than ``max_rejected`` of all others are not "ok"; ``noun`` names them.
    """
    by_status = Counter(statuses)
    total = by_status.total()
    ok = by_status.pop(OK, 0)
    faults = {reason: count for reason, count in by_status.items() if reason not in asked_for}
    rejected = sum(faults.values())
    if rejected > max_rejected * (ok + rejected):
        worst = max(faults, key=lambda reason: faults[reason])
        raise TooManyRejectedError(
            f"{rejected} of {ok + rejected} {noun} were rejected, {faults[worst]} of them as {worst!r}",
            f"Look at the {noun}, or allow more than max_rejected = {max_rejected}",
        )
    return Counts(total=total, ok=ok, rejected_by_reason=dict(sorted(by_status.items())))
