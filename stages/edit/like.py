"""The settings of an earlier result, read from the result itself or from its sidecar, to be used again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.errors import BadInputError
from stages.common.manifest import write_atomically
from stages.common.records import read_record_of


@dataclass(frozen=True, slots=True)
class Like:
    """``fields`` of an ``EditConfig``, the ids of the model and of the classifier, and the detector's name."""

    fields: Mapping[str, Any]
    model: str
    classifier: str | None
    detector: str


def read_like(path: Path) -> Like:
    """Settings of the edit at ``path``: PNG, JPEG, video or sidecar. Raises ``BadInputError`` where there are none."""
    record = read_record_of(path)
    if record is None or record.get("stage") != "edit" or "sweep" in record:
        raise BadInputError(f"{path} does not say how one edit was made", "Give what facediff edit wrote")
    try:
        fields = {**record["settings"], "emotion": record["emotion"], "seed": record["seed"]}
        # Written since the record says whether the source was looked for, and how hard it was asked to push.
        if not {"source", "guidance"} <= fields.keys():
            raise KeyError("settings")
        return Like(fields, str(record["model"]), record["classifier"], str(record["detector"]))
    except (KeyError, TypeError) as error:
        raise BadInputError(f"{path} does not say all that an edit needs: {error} is missing") from error


def sidecar_path(result: Path) -> Path:
    return result.with_name(f"{result.name}.json")


def write_sidecar(result: Path, record: Mapping[str, Any]) -> Path:
    """Write what ``result`` says of itself, and more where it is a video, beside it; returns the path."""
    path = sidecar_path(result)
    write_atomically(path, (json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())
    return path
