"""Recipes: YAML files that name the steps from photos or clips to a model, each a stage and what it reads."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.common.config import load_yaml, shipped_names
from stages.common.errors import ConfigError

if TYPE_CHECKING:
    from stages.common.manifest import ArtifactKind
    from stages.common.stage import StageSpec

_SPECS = {
    "align": "align.run:ALIGN",
    "clips": "clips.run:CLIPS",
    "shard": "shard.run:SHARD",
    "vqgan": "vqgan.run:VQGAN",
    "autoencoder": "autoencoder.run:AUTOENCODER",
    "emotion": "emotion.run:EMOTION",
    "expression": "expression.run:EXPRESSION",
    "upscaler": "upscaler.run:UPSCALER",
    "classifier": "classifier.run:CLASSIFIER",
    "ldm": "ldm.run:LDM",
    "bundle": "bundle.run:BUNDLE",
    "talk_training": "talk_training.run:TALK_TRAINING",
    "lipreader": "lipreader.run:LIPREADER",
    "finetune_lipread": "finetune_lipread.run:FINETUNE_LIPREAD",
    "eval_reconstruction": "evaluate.reconstruction:RECONSTRUCTION",
    "eval_edit": "evaluate.edit:EDIT_GRID",
}
_STAGES = tuple(_SPECS)
READS_PHOTOS, READS_CLIPS = "align", "clips"
"""The stages that begin a recipe."""


class Photos(BaseModel):
    """Where the photos of the first step are; relative paths count from the current folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    labels: Path | None = None
    layout: Literal["folder", "affectnet"] = "folder"


class Videos(BaseModel):
    """Where the clips are; ``val_subjects`` as for `preprocess mead`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = None
    transcripts: Path | None = None
    layout: Literal["folder", "grid", "mead"] = "folder"
    val_subjects: tuple[str, ...] = ()


class Step(BaseModel):
    """One stage: ``inputs`` maps the roles that it reads to earlier steps, ``settings`` are like ``--set``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Literal[_STAGES]  # type: ignore[valid-type]
    inputs: Mapping[str, str] = {}
    settings: tuple[str, ...] = ()
    seed: int = Field(default=0, ge=0)


class Recipe(BaseModel):
    """Steps in the order in which they run; every step's settings start from the preset or file ``config``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str | None = None
    photos: Photos = Photos()
    clips: Videos = Videos()
    steps: Mapping[str, Step]


def recipe_names() -> list[str]:
    return shipped_names("recipes")


def load_recipe(name_or_path: str) -> Recipe:
    """A recipe that comes along, by name, or a file. Raises ``ConfigError`` when a step cannot be what it says."""
    content = load_yaml(name_or_path, folder="recipes", noun="recipe")
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{name_or_path}: {where}: {problem['msg'].lower()}") from error
    _check_graph(recipe, name_or_path)
    return recipe


def stage_spec(name: str) -> StageSpec[Any]:
    """The stage of this name; imports it."""
    module, attribute = _SPECS[name].split(":")
    spec: StageSpec[Any] = getattr(importlib.import_module(f"stages.{module}"), attribute)
    return spec


def _check_graph(recipe: Recipe, origin: str) -> None:
    """Every step reads earlier steps, of the kinds that its stage needs."""
    made: dict[str, ArtifactKind] = {}
    for name, step in recipe.steps.items():
        spec = stage_spec(step.stage)
        wanted = {} if step.stage in (READS_PHOTOS, READS_CLIPS) else dict(spec.inputs)
        allowed = {**wanted, **spec.optional_inputs}
        if not wanted.keys() <= step.inputs.keys() <= allowed.keys() or bool(allowed) != bool(step.inputs):
            raise ConfigError(f"{origin}: step {name} must read {', '.join(wanted or allowed) or 'nothing'}")
        for role, source in step.inputs.items():
            if source not in made:
                raise ConfigError(f"{origin}: step {name} reads {source!r}, which is no earlier step")
            if made[source] is not allowed[role]:
                raise ConfigError(f"{origin}: {role} of step {name} must be {allowed[role].value}, not {source}")
        made[name] = spec.output
