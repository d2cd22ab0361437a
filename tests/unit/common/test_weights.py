from dataclasses import replace

import pytest

from stages.common import weights
from stages.common.engine import execute
from stages.common.errors import MissingModelError
from stages.common.manifest import ArtifactKind
from stages.common.weights import (
    ModelEntry,
    cache_folder,
    find_model_problems,
    list_models,
    model_with_id,
    resolve_model,
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def model(store, toy):
    spec = replace(toy.spec, output=ArtifactKind.LATENT_DIFFUSION)
    return execute(spec, toy.config, toy.inputs, store / "assets" / "facediff-toy")


def test_bundled_models_come_first_and_hide_cached_ones(store, toy, model):
    spec = replace(toy.spec, output=ArtifactKind.LATENT_DIFFUSION)
    cached = store / "home" / "models"
    execute(spec, toy.config, toy.inputs, cached / "facediff-toy")
    execute(spec, toy.config, toy.inputs, cached / "another")
    assert list_models() == [
        ModelEntry("facediff-toy", model.root, True),
        ModelEntry("another", cached / "another", False),
    ]


def test_a_model_is_found_by_name_folder_or_manifest(model):
    for name in ("facediff-toy", str(model.root), str(model.root / "manifest.json")):
        assert resolve_model(name).manifest == model.manifest


def test_a_model_is_found_by_its_id_past_a_broken_one(store, model):
    broken = store / "assets" / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{}")
    assert model_with_id(model.manifest.artifact_id) == ModelEntry("facediff-toy", model.root, True)
    assert model_with_id("0" * 64) is None


def test_an_unknown_name_gets_the_nearest(model):
    with pytest.raises(MissingModelError, match=r"no model 'facediff-tox'. Did you mean facediff-toy") as caught:
        resolve_model("facediff-tox")
    assert caught.value.exit_code == 6


def test_an_empty_store_says_so(store):
    with pytest.raises(MissingModelError, match="Known: none"):
        resolve_model("facediff-mini")


def test_an_altered_file_of_equal_size_is_named(model):
    (model.root / "1.txt").write_text("x 0 9")
    with pytest.raises(MissingModelError, match=r"1\.txt: content differs"):
        resolve_model("facediff-toy")


def test_a_missing_file_is_named(model):
    (model.root / "1.txt").unlink()
    with pytest.raises(MissingModelError, match=r"1\.txt: missing"):
        resolve_model("facediff-toy")


def test_a_file_too_much_is_named_but_documents_may_be_there(model):
    (model.root / "README.md").write_text("card")
    assert find_model_problems(model) == []
    (model.root / "unet").mkdir()
    (model.root / "unet" / "extra.safetensors").write_text("")
    with pytest.raises(MissingModelError, match=r"unet/extra\.safetensors: not part of this model"):
        resolve_model("facediff-toy")


def test_several_problems_are_counted(model):
    for name in ("0.txt", "1.txt"):
        (model.root / name).unlink()
    with pytest.raises(MissingModelError, match=r"0\.txt: missing \(and 1 more\)"):
        resolve_model("facediff-toy")


def test_what_is_no_model_is_refused(store, toy):
    faces = execute(toy.spec, toy.config, toy.inputs, toy.out)
    with pytest.raises(MissingModelError, match="holds faces, not a model"):
        resolve_model(str(faces.root))
    with pytest.raises(MissingModelError, match="is not a model: no manifest"):
        resolve_model(str(store))
    (faces.root / "manifest.json").write_text("{}")
    with pytest.raises(MissingModelError, match="is not a model"):
        resolve_model(str(faces.root))


def test_the_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("FACEDIFF_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "facediff"
