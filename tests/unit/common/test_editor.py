"""The loaded model that edits, with real networks of no skill."""

import copy
from dataclasses import replace

import pytest
import torch
from support.tiny_model import tiny_config, train_tiny_model

from stages.bundle.config import BundleConfig
from stages.bundle.run import BUNDLE
from stages.classifier.run import CLASSIFIER
from stages.common.edit_method import EditMethod
from stages.common.editor import load_editor
from stages.common.engine import execute
from stages.common.errors import BadInputError, MissingModelError
from stages.common.manifest import load_artifact
from stages.ldm.run import LDM

SOURCE, TARGET = torch.tensor([0, 0]), torch.tensor([1, 2])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture(scope="module")
def editor(model):
    return load_editor(model.root)


@pytest.fixture(scope="module")
def faces():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_it_says_what_it_is(editor, model):
    assert editor.size_px == 32
    assert editor.supported == ("neutral", "happy", "sad")
    assert editor.artifact_id == model.manifest.artifact_id


def test_an_edit_gives_pictures_and_what_the_first_stage_makes_of_them(editor, faces):
    batch = editor.edit(faces, SOURCE, TARGET, strength=400, steps=4, guidance_scale=torch.full((2,), 3.0))
    assert batch.edited.shape == batch.reconstruction.shape == faces.shape
    assert batch.edited.abs().max() <= 1
    expected = editor.first_stage.decode(editor.first_stage.encode(faces)).clamp(-1, 1)
    torch.testing.assert_close(batch.reconstruction, expected)
    assert not torch.allclose(batch.edited, batch.reconstruction, atol=1e-3)


def test_the_least_strength_changes_nothing(editor, faces):
    batch = editor.edit(faces, SOURCE, TARGET, strength=1, steps=1, guidance_scale=torch.full((2,), 3.0))
    assert torch.equal(batch.edited, batch.reconstruction)


def test_an_edit_repeats_to_the_bit_and_depends_on_target_and_guidance(editor, faces):
    def edited(target, guidance):
        return editor.edit(
            faces, SOURCE, target, strength=600, steps=3, guidance_scale=torch.full((2,), guidance)
        ).edited

    assert torch.equal(edited(TARGET, 4.0), edited(TARGET, 4.0))
    assert not torch.equal(edited(TARGET, 4.0), edited(TARGET.flip(0), 4.0))
    assert not torch.equal(edited(TARGET, 4.0), edited(TARGET, 1.0))


def test_each_face_has_its_own_guidance(editor, faces):
    def edited(*scales):
        return editor.edit(faces, SOURCE, TARGET, strength=600, steps=3, guidance_scale=torch.tensor(scales)).edited

    # The batch is computed together, so that sums are added in the same order.
    torch.testing.assert_close(edited(3.0, 6.0)[0], edited(3.0, 3.0)[0])
    torch.testing.assert_close(edited(3.0, 6.0)[1], edited(6.0, 6.0)[1])


def edited_by(editor, faces, **method):
    return editor.edit(
        faces, SOURCE, TARGET, strength=600, steps=4, guidance_scale=torch.full((2,), 3.0), method=EditMethod(**method)
    ).edited


def test_methods_differ_and_the_default_is_the_first(editor, faces):
    plain = editor.edit(faces, SOURCE, TARGET, strength=600, steps=4, guidance_scale=torch.full((2,), 3.0)).edited
    assert torch.equal(edited_by(editor, faces, sampler="ddim"), plain)
    others = [
        edited_by(editor, faces, sampler="exact"),
        edited_by(editor, faces, sampler="dpmpp-2m"),
        edited_by(editor, faces, sampler="thesis"),
        edited_by(editor, faces, guided="back"),
        edited_by(editor, faces, guided_levels=(100, 300)),
        edited_by(editor, faces, negative_labels=SOURCE),
    ]
    for i, one in enumerate(others):
        assert all(not torch.allclose(one, other, atol=1e-6) for other in [plain, *others[:i]])


def test_a_method_without_effect_changes_nothing(editor, faces):
    plain = edited_by(editor, faces)
    assert torch.equal(edited_by(editor, faces, guided_levels=(1, 999)), plain)
    null = torch.full((2,), editor.denoiser.null_class)
    assert torch.equal(edited_by(editor, faces, negative_labels=null), plain)


def one_hot(labels):
    return torch.nn.functional.one_hot(labels, 8).float()


def test_weights_of_one_class_are_its_label_and_of_the_source_the_way_back(editor, faces):
    plain = edited_by(editor, faces)
    assert torch.equal(edited_by(editor, faces, target_weights=one_hot(TARGET)), plain)
    back = editor.edit(faces, SOURCE, SOURCE, strength=600, steps=4, guidance_scale=torch.full((2,), 3.0)).edited
    assert torch.equal(edited_by(editor, faces, target_weights=one_hot(SOURCE)), back)
    beyond = edited_by(editor, faces, target_weights=1.5 * one_hot(TARGET) - 0.5 * one_hot(SOURCE))
    assert all(not torch.allclose(beyond, other, atol=1e-6) for other in (plain, back))


def test_watching_changes_nothing_and_steadying_gets_the_noise(editor, faces):
    seen, noises = [], []
    settings = {"strength": 600, "steps": 4, "guidance_scale": torch.full((2,), 3.0)}
    plain = editor.edit(faces, SOURCE, TARGET, **settings).edited
    assert torch.equal(editor.edit(faces, SOURCE, TARGET, **settings, watch=seen.append).edited, plain)
    assert [picture.shape for picture in seen] == [faces.shape] * 4
    same = editor.edit(faces, SOURCE, TARGET, **settings, steady=lambda eps: noises.append(eps) or eps).edited
    torch.testing.assert_close(same, plain, atol=1e-4, rtol=0)
    assert noises[0].shape == (2, *editor.latent_shape)
    assert not torch.allclose(
        editor.edit(faces, SOURCE, TARGET, **settings, steady=lambda eps: eps.flip(0)).edited, plain, atol=1e-3
    )


@pytest.mark.parametrize("sampler", ["exact", "dpmpp-2m"])
def test_the_same_label_comes_back_nearer_than_by_ddim(editor, faces, sampler):
    def lost(name):
        batch = editor.edit(
            faces, SOURCE, SOURCE, strength=500, steps=20, guidance_scale=torch.ones(2), method=EditMethod(sampler=name)
        )
        return (batch.edited - batch.reconstruction).norm()

    assert lost(sampler) <= lost("ddim")


def test_classes_are_probabilities(editor, faces):
    probabilities = editor.classify(faces)
    assert probabilities.shape == (2, 8)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))


def test_a_model_without_a_classifier_edits_but_does_not_guess(model, faces):
    editor = load_editor(model.root.parent / "ldm")
    with pytest.raises(MissingModelError, match="--source"):
        editor.classify(faces)
    assert (
        editor.edit(faces, SOURCE, TARGET, strength=2, steps=1, guidance_scale=torch.full((2,), 1.0))
        .edited.isfinite()
        .all()
    )


def guided(editor, faces, scale):
    return editor.edit(
        faces,
        SOURCE,
        TARGET,
        strength=400,
        steps=4,
        guidance_scale=torch.ones(2),
        method=EditMethod(classifier_scale=scale),
    ).edited


def test_a_classifier_guides_by_its_scale(model, editor, faces):
    classifier = load_artifact(model.root.parent / "classifier")
    with_guide = editor.guided_by(classifier)
    assert with_guide.guide_id == classifier.manifest.artifact_id
    assert torch.equal(guided(with_guide, faces, 0.0), guided(editor, faces, 0.0))
    assert not torch.allclose(guided(with_guide, faces, 50.0), guided(editor, faces, 50.0), atol=1e-3)


def test_a_classifier_of_other_noise_is_refused(model, editor, tmp_path):
    classifier = load_artifact(model.root.parent / "classifier")
    inputs = {
        "data": load_artifact(model.root.parent / "shards"),
        "first_stage": load_artifact(model.root.parent / "vqgan"),
    }
    other = execute(CLASSIFIER, tiny_config(CLASSIFIER, "schedule.beta_end=0.03"), inputs, tmp_path / "other")
    with pytest.raises(BadInputError, match="another noise schedule"):
        editor.guided_by(other)
    assert editor.guided_by(classifier).guide is not None


def test_a_model_of_pixels_edits_too(model, faces, tmp_path):
    pixels = ["network.latent_size=32", "loop.steps=1"]
    ldm = execute(
        LDM, tiny_config(LDM, *pixels), {"data": load_artifact(model.root.parent / "shards")}, tmp_path / "ldm"
    )
    emotion = load_artifact(model.root.parent / "emotion")
    release = execute(BUNDLE, BundleConfig(), {"ldm": ldm, "emotion": emotion}, tmp_path / "model")
    editor = load_editor(release.root)
    assert editor.size_px == 32
    batch = editor.edit(faces, SOURCE, TARGET, strength=100, steps=2, guidance_scale=torch.ones(2))
    assert torch.equal(batch.reconstruction, faces)
    assert not torch.equal(batch.edited, faces)


def test_a_first_stage_alone_is_no_editor(model):
    with pytest.raises(MissingModelError, match=r"denoiser\.json is missing"):
        load_editor(model.root.parent / "vqgan")


def generated(editor, bound=0.25):
    noise = torch.randn(2, *editor.latent_shape, generator=torch.Generator().manual_seed(1))
    ones = torch.ones(2)
    return editor.generate(TARGET, lambda: noise, sampler="ddim", steps=3, guidance_scale=ones, bound=bound)


def with_statistics(editor, *, latent_rms, scale):
    """The same model, of which more or less is known."""
    first_stage = copy.deepcopy(editor.first_stage)
    first_stage.vq.register_to_config(scaling_factor=scale)
    return replace(editor, first_stage=first_stage, info=editor.info.model_copy(update={"latent_rms": latent_rms}))


def test_estimates_are_bounded_by_what_the_model_says_of_its_latents(editor):
    small, large = (with_statistics(editor, latent_rms=rms, scale=1.5) for rms in (0.1, 1.4))
    assert (small.latent_rms, large.latent_rms) == (0.1, 1.4)
    free = generated(large, bound=None)
    assert not torch.equal(generated(small), free)
    assert not torch.equal(generated(small), generated(large))


def test_without_statistics_normalised_latents_have_unit_size_and_others_no_bound(editor):
    assert with_statistics(editor, latent_rms=None, scale=0.78).latent_rms == 1.0
    unknown = with_statistics(editor, latent_rms=None, scale=1.0)
    assert unknown.latent_rms is None
    assert torch.equal(generated(unknown), generated(unknown, bound=None))


def test_a_training_writes_how_large_its_latents_are(editor):
    assert 0.5 < editor.info.latent_rms < 5
