"""What a file that facediff wrote says of itself: a picture, a video, or the JSON beside one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.common.errors import BadInputError
from stages.common.media_files import VIDEO_SUFFIXES
from stages.common.provenance import read_provenance
from stages.common.video_writer import read_record


def read_record_of(path: Path) -> dict[str, Any] | None:
    """The record of a PNG, JPEG, video or sidecar, or None. Raises ``BadInputError`` for what cannot be read as one."""
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return read_record(path)
    if path.suffix.lower() != ".json":
        return read_provenance(path)
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} is not a readable sidecar", reason="unreadable") from error
    return record if isinstance(record, dict) else None
