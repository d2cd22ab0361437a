"""From the rows of single samples to the table of an evaluation: means with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.errors import BadInputError
from stages.common.manifest import write_atomically
from stages.common.table import TABLE_NAME, Column, Row, Table, Value
from stages.evaluate.registry import METRICS, expert_notes
from stages.evaluate.statistics import bootstrap_interval

SAMPLES_NAME = "samples.parquet"

SampleRow = Mapping[str, Any]


def columns_of(metrics: Sequence[str]) -> tuple[Column, ...]:
    return tuple(Column(n, METRICS[n].title, METRICS[n].better, METRICS[n].digits) for n in metrics)


def summarize(rows: Sequence[SampleRow], labels: Mapping[str, Any], metrics: Sequence[str]) -> Row:
    """Means over the samples, with bootstrap intervals. Several rows of one ``sample_key`` count as one sample: their
    mean, because edits of one face are not independent.
    """
    keys = sorted({row["sample_key"] for row in rows})
    place = {key: index for index, key in enumerate(keys)}
    owners = np.array([place[row["sample_key"]] for row in rows], dtype=np.int64)
    values = {}
    for name in metrics:
        if any(row.get(name) is None for row in rows):
            continue
        data = np.array([row[name] for row in rows], dtype=np.float64)
        per_key = np.bincount(owners, weights=data) / np.bincount(owners)
        interval = bootstrap_interval(per_key) if len(per_key) > 1 else None
        values[name] = Value(float(per_key.mean()), interval)
    return Row(labels, len(keys), values)


def require_finite(rows: Sequence[SampleRow], metrics: Sequence[str]) -> None:
    """Raise ``BadInputError`` that names the first sample with a value that is not a number."""
    for row in rows:
        for name in metrics:
            if row.get(name) is not None and not np.isfinite(row[name]):
                raise BadInputError(f"{name} of {row['sample_key']} is {row[name]}", "Is the picture damaged?")


def write_results(table: Table, rows: Sequence[SampleRow], out: Path) -> None:
    """The table, with a note on each expert behind its columns, and the rows. Raises ``MissingModelError``."""
    table = replace(table, notes=(*table.notes, *expert_notes(column.name for column in table.columns)))
    write_atomically(out / TABLE_NAME, json.dumps(asdict(table), indent=2, allow_nan=False).encode() + b"\n")
    write_rows(out / SAMPLES_NAME, rows)


def write_rows(path: Path, rows: Sequence[SampleRow]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    pq.write_table(pa.Table.from_pylist(list(rows)), temporary)
    temporary.replace(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
