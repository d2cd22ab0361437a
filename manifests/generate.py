"""Write the JSON Schemas of the manifest and of every stage's settings into ``manifests/schema``."""

from __future__ import annotations

import json
from pathlib import Path

from facediff_cli.sections import config_types
from stages.common.manifest import Manifest

SCHEMA_FOLDER = Path(__file__).resolve().parent / "schema"


def make_schemas() -> dict[str, str]:
    """File name to the text that belongs in it."""
    types = {"manifest": Manifest, **{f"{name}-config": config for name, config in config_types().items()}}
    return {
        f"{name}.schema.json": json.dumps(model.model_json_schema(), indent=2, sort_keys=True) + "\n"
        for name, model in types.items()
    }


def main() -> None:
    SCHEMA_FOLDER.mkdir(exist_ok=True)
    for name, text in make_schemas().items():
        (SCHEMA_FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
