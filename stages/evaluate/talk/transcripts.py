"""The transcript of every clip of an evaluation, or a line that says which clips have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from stages.common.engine import describe_source
from stages.common.errors import BadInputError
from stages.common.hashing import hash_file
from stages.common.manifest import Artifact
from stages.common.tables import read_csv
from stages.evaluate.talk.clips import ClipSet
from stages.evaluate.talk.error_rates import normalise

_NAMES = ("path", "clip")


def read_table(table: Path) -> Artifact:
    """A CSV of transcripts as an input. Raises ``BadInputError`` when it is not there."""
    if not table.is_file():
        raise BadInputError(f"{table} is not a file", "Give a CSV with the columns clip and text")
    return describe_source(table, hash_file(table))


def find_transcripts(
    keys: Iterable[str], reference: ClipSet, others: Mapping[str, tuple[ClipSet, Mapping[str, str]]], table: Path | None
) -> dict[str, str]:
    """The normalised text of each key of ``reference``: from the table, else of the clip itself, else of a system's.

    ``others`` are the systems' clips, each with its key for a key of ``reference``. Raises ``BadInputError`` for clips
    without a transcript and for empty ones, naming some.
    """
    listed = _read(table) if table else {}
    found: dict[str, str | None] = {}
    for key in keys:
        texts = [listed.get(alias) for alias in reference.aliases(key)] if table else [reference.text(key)]
        if table is None:
            texts += [clips.text(own[key]) for clips, own in others.values()]
        found[key] = next((text for text in texts if text is not None), None)
    _require(found, [key for key, text in found.items() if text is None], "no transcript")
    normal = {key: normalise(text or "") for key, text in found.items()}
    _require(found, [key for key, text in normal.items() if not text], "an empty transcript")
    return normal


def _require(found: Mapping[str, object], wrong: list[str], what: str) -> None:
    if wrong:
        some = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        raise BadInputError(
            f"{len(wrong)} of {len(found)} clips have {what} ({some})",
            "Put a .txt or .align beside each video, or give a CSV with --transcripts",
        )


def _read(table: Path) -> dict[str, str]:
    found = {}
    for line, row in read_csv(table, frozenset({"text"})):
        name = next((row[column] for column in _NAMES if row.get(column)), None)
        if name is None:
            raise BadInputError(f"{table}, line {line}: no clip is named", "It needs a column clip or path")
        path = PurePosixPath(name)
        found[path.with_suffix("").as_posix() if "path" in row else name] = row["text"]
    return found
