"""The result of an evaluation: one table of means with intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stages.common.errors import BadInputError
from stages.common.manifest import Artifact

TABLE_NAME = "table.json"
MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Column:
    """``better`` None: neither way is."""

    name: str
    title: str
    better: Literal["higher", "lower"] | None
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
