"""Settings of the shard stage."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig


class ShardConfig(StageConfig):
    """``samples_per_shard`` is an upper limit; the last shard of a split holds what remains."""

    samples_per_shard: int = Field(default=1024, ge=1)
