"""Recipes: those that come along can run, and those that cannot are refused with the step that is wrong."""

import pytest

from facediff_cli.recipe import load_recipe, recipe_names, stage_spec
from stages.common.config import resolve_config
from stages.common.errors import ConfigError

FACES = "faces: {stage: align}"


def test_there_are_recipes():
    assert {"affectnet-128", "mead-128", "mini", "tiny"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_that_comes_along_is_one(name):
    recipe = load_recipe(name)
    for step in recipe.steps.values():
        resolve_config(stage_spec(step.stage).config_type, step.stage, recipe.config, step.settings)


def test_the_bundled_models_parts_fit_together():
    recipe = load_recipe("mini")
    settings = {
        name: resolve_config(stage_spec(step.stage).config_type, step.stage, recipe.config, step.settings)
        for name, step in recipe.steps.items()
    }
    first_stage, denoiser = settings["autoencoder"].network, settings["ldm"].network
    assert (denoiser.latent_channels, denoiser.latent_size) == (first_stage.components, first_stage.latent_size)
    assert denoiser.hears_expression
    assert settings["faces"].expression
    assert dict(recipe.steps["model"].inputs) == {"ldm": "ldm", "emotion": "emotion", "expression": "expression"}
    guide = resolve_config(stage_spec("classifier").config_type, "classifier", recipe.config, ()).network
    assert (guide.latent_channels, guide.latent_size) == (denoiser.latent_channels, denoiser.latent_size)


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["shards: {stage: shard, inputs: {faces: faces}}"], "shards reads 'faces', which is no earlier step"),
        ([FACES, "shards: {stage: shard}"], "shards must read faces"),
        ([FACES, "shards: {stage: shard, inputs: {face: faces}}"], "shards must read faces"),
        ([FACES, "vqgan: {stage: vqgan, inputs: {data: faces}}"], "data of step vqgan must be shards, not faces"),
        (["edits: {stage: eval_edit}"], "edits must read model"),
        (["faces: {stage: aline}"], "steps.faces.stage"),
        (["faces: {stage: align, inputs: {photos: x}}"], "faces must read nothing"),
        (["faces: [stage"], "not valid YAML"),
    ],
)
def test_an_impossible_recipe_is_refused(tmp_path, steps, problem):
    path = tmp_path / "recipe.yaml"
    path.write_text("steps:\n" + "".join(f"  {step}\n" for step in steps))
    with pytest.raises(ConfigError, match=problem):
        load_recipe(str(path))


def test_an_unknown_recipe_names_the_known(tmp_path):
    with pytest.raises(ConfigError, match=r"Recipes: affectnet-128, mead-128, mini"):
        load_recipe(str(tmp_path / "absent.yaml"))
