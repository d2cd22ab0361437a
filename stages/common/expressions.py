"""The table of expressions: one row a face, beside the faces and beside the shards made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.common.errors import BadInputError
from stages.common.face.embedder import EMBEDDING_SIZE
from stages.common.face.expression import COEFFICIENTS, POINT_COUNT

EXPRESSIONS_NAME = "expressions.parquet"
_WIDTHS = {"points": 3 * POINT_COUNT, "coefficients": len(COEFFICIENTS), "identity_embedding": EMBEDDING_SIZE}
EXPRESSION_FIELDS = [pa.field(name, pa.list_(pa.float32(), width)) for name, width in _WIDTHS.items()]
EXPRESSION_SCHEMA = pa.schema([pa.field("sample_key", pa.string(), nullable=False), *EXPRESSION_FIELDS])


@dataclass(frozen=True, slots=True)
class Expressions:
    """float32 arrays of N faces, NaN where nothing is known of one.

    ``points_NP3`` in pixels of the aligned face, ``coefficients_NK`` 0..1 in the order of ``COEFFICIENTS``,
    ``identities_ND`` the embeddings.
    """

    points_NP3: NDArray[np.float32]
    coefficients_NK: NDArray[np.float32]
    identities_ND: NDArray[np.float32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which faces (N,) have points and coefficients."""
        return np.asarray(np.isfinite(self.coefficients_NK).all(axis=1))

    def of(self, indices: NDArray[np.int64]) -> Expressions:
        """Those of some of the faces."""
        return Expressions(self.points_NP3[indices], self.coefficients_NK[indices], self.identities_ND[indices])


def read_expressions(path: Path, keys: list[str]) -> Expressions:
    """The rows of these samples, in this order. Raises ``BadInputError`` where the table is absent or lacks one."""
    if not path.is_file():
        raise BadInputError(f"{path.parent} says nothing of expressions", "Run `preprocess` with --expression")
    table = read_rows(path, keys)
    points, coefficients, identities = (_matrix(table[name], width) for name, width in _WIDTHS.items())
    return Expressions(points.reshape(-1, POINT_COUNT, 3), coefficients, identities)


def read_rows(path: Path, keys: list[str]) -> pa.Table:
    """The table's rows of these samples, in this order. Raises ``BadInputError`` where it lacks one."""
    table = pq.read_table(path)
    rows = {key: row for row, key in enumerate(table["sample_key"].to_pylist())}
    missing = next((key for key in keys if key not in rows), None)
    if missing is not None:
        raise BadInputError(f"{path} has no row for {missing}")
    return table.take([rows[key] for key in keys])


def _matrix(column: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    """A column of lists as (N, width), NaN where a list is null."""
    rows = column.combine_chunks()
    matrix = np.full((len(rows), width), np.nan, np.float32)
    matrix[rows.is_valid().to_numpy(zero_copy_only=False)] = rows.flatten().to_numpy().reshape(-1, width)
    return matrix
