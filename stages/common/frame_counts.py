"""What became of the frames of a video."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class FrameCounts:
    """``frames`` is always ``edited`` plus all of ``passed_through``, which is by reason."""

    frames: int = 0
    edited: int = 0
    passed_through: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "edited": self.edited,
            "passed_through": dict(sorted(self.passed_through.items())),
        }
