"""Tables of samples: CSV files that people write, and the Parquet files that stages write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.errors import BadInputError


def read_csv(
    table: Path, required: frozenset[str], known: frozenset[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV with a header, values stripped.

    Raises ``BadInputError`` if it cannot be read as one, lacks a column, or has one that is not ``known``.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = {name for name in reader.fieldnames or () if name}
            missing = required - names
            if missing:
                raise BadInputError(f"{table} has no column {', '.join(sorted(missing))}")
            unknown = names - known if known is not None else set()
            if unknown:
                expected = ", ".join(sorted(known or ()))
                raise BadInputError(f"{table} has an unknown column {min(unknown)!r}", f"Known: {expected}")
            for row in reader:
                named = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
                yield reader.line_num, named
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{table} cannot be read as a CSV: {error}") from error


def safe_path(text: str) -> str:
    """A POSIX path relative to a source's folder. Raises ``ValueError`` when it is absolute or leaves the folder."""
    path = PurePosixPath(text.replace("\\", "/"))
    if not text or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"path {text!r} must be relative and stay inside the folder")
    if "\0" in text:
        raise ValueError(f"path {text!r} has a NUL byte in it")
    return path.as_posix()


def to_parquet(rows: Sequence[object], schema: pa.Schema) -> bytes:
    """Rows with the attributes that ``schema`` names, as a Parquet file; equal rows give equal bytes."""
    stream = io.BytesIO()
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    pq.write_table(pa.table(columns, schema=schema), stream, compression="zstd")
    return stream.getvalue()


def read_parquet(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows
