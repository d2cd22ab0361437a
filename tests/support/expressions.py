"""Made-up expressions for the faces of ``support.shards``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common.expressions import EXPRESSION_SCHEMA
from stages.common.face.embedder import EMBEDDING_SIZE
from stages.common.face.expression import COEFFICIENTS, POINT_COUNT


def face_points(size_px: int, seed: int = 0) -> np.ndarray:
    """Points (478, 3) that differ a little from seed to seed, with the pupils apart."""
    shape = np.random.default_rng(7).uniform(0.2, 0.8, (POINT_COUNT, 3))
    shape[468, :2], shape[473, :2] = (0.35, 0.4), (0.65, 0.4)
    shape += np.random.default_rng(seed).normal(0, 0.01, shape.shape)
    return (shape * size_px).astype(np.float32)


def write_expressions(path: Path, keys: list[str], size_px: int, unknown: frozenset[str] = frozenset()) -> None:
    """``expressions.parquet`` of these samples; nothing is known of those in ``unknown``."""
    rows = []
    for number, key in enumerate(keys):
        random = np.random.default_rng(number)
        known = key not in unknown
        rows.append(
            {
                "sample_key": key,
                "points": face_points(size_px, number).ravel().tolist() if known else None,
                "coefficients": random.random(len(COEFFICIENTS)).tolist() if known else None,
                "identity_embedding": random.normal(size=EMBEDDING_SIZE).tolist(),
            }
        )
    pq.write_table(pa.Table.from_pylist(rows, schema=EXPRESSION_SCHEMA), path)
