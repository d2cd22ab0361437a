"""The result of an evaluation: one table of means with intervals, and the rows of single samples behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.errors import BadInputError
from stages.common.manifest import Artifact, write_atomically
from stages.evaluate.registry import METRICS
from stages.evaluate.statistics import bootstrap_interval

TABLE_NAME = "table.json"
SAMPLES_NAME = "samples.parquet"
MEAN = "mean"

SampleRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    title: str
    better: Literal["higher", "lower"]
    digits: int


@dataclass(frozen=True, slots=True)
class Value:
    """A mean and its 95 % interval; for what is measured on a whole set there is none."""

    mean: float
    interval_95: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """``labels`` has one entry for each of the table's keys; a metric that does not apply is not in ``values``.

    ``judged`` says for each expert which share of the faces it called what: one row of its confusion matrix.
    """

    labels: Mapping[str, Any]
    samples: int
    values: Mapping[str, Value]
    judged: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """``missing``: metrics that this machine cannot measure, and why. ``notes`` belong below the table."""

    title: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    write_atomically(out / TABLE_NAME, json.dumps(asdict(table), indent=2, allow_nan=False).encode() + b"\n")
    write_rows(out / SAMPLES_NAME, rows)


def write_rows(path: Path, rows: Sequence[SampleRow]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    pq.write_table(pa.Table.from_pylist(list(rows)), temporary)
    temporary.replace(path)


def read_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def read_table(artifact: Artifact) -> Table:
    """The table of an evaluation. Raises ``BadInputError`` when it is not there or damaged."""
    path = artifact.path(TABLE_NAME)
    try:
        fields = json.loads(path.read_bytes())
        rows = tuple(Row(**{**row, "values": _values(row["values"])}) for row in fields.pop("rows"))
        columns = tuple(Column(**column) for column in fields.pop("columns"))
        return Table(**_tuples(fields), columns=columns, rows=rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(f"{path} is not the table of an evaluation: {error}") from error


def _values(fields: Mapping[str, Any]) -> dict[str, Value]:
    intervals = {name: value["interval_95"] for name, value in fields.items()}
    return {n: Value(v["mean"], tuple(intervals[n]) if intervals[n] else None) for n, v in fields.items()}


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
