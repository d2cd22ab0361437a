"""A low-rank update, merged into the model that it belongs to."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.common.checkpoint import load_denoiser
from stages.common.editor import load_editor
from stages.common.errors import BadInputError, MissingModelError
from stages.common.lora import LoraInfo, add_lora, load_lora_info, save_lora
from stages.common.model_input import load_classifier_of
from stages.models.denoiser import DenoiserConfig, build_denoiser

CONFIG = DenoiserConfig(
    latent_size=8,
    block_out_channels=(8, 16),
    attention_levels=(False, True),
    layers_per_block=1,
    channels_per_head=8,
    context_dim=16,
    norm_num_groups=4,
)
INPUT = (torch.randn(2, 3, 8, 8), torch.tensor([5, 700]), torch.tensor([0, 1]))


def trained_update(root, unet, base="b" * 64):
    """Updates that do something, saved in ``root``."""
    add_lora(unet, 2, ("to_q", "conv1"))
    torch.manual_seed(1)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    root.mkdir(exist_ok=True)
    info = LoraInfo(base=base, base_name="m", emotion="sad", guidance=2.5, rank=2, modules=("to_q", "conv1"))
    save_lora(unet, info, root)


def test_merging_gives_what_the_update_gave_while_it_was_trained(tmp_path):
    from stages.common.lora import merge_lora

    torch.manual_seed(0)
    tuned = build_denoiser(CONFIG).eval()
    other = build_denoiser(CONFIG).eval()
    other.load_state_dict(tuned.state_dict())
    names = list(other.state_dict())
    with torch.no_grad():
        before = tuned(*INPUT)
        trained_update(tmp_path / "lora", tuned.unet)
        wanted = tuned(*INPUT)
        merge_lora(other.unet, tmp_path / "lora")
        torch.testing.assert_close(other(*INPUT), wanted, rtol=1e-4, atol=1e-5)
    assert (wanted - before).abs().max() > 1e-2
    assert list(other.state_dict()) == names


def test_a_merged_weight_is_the_weight_and_the_product(tmp_path):
    from stages.common.lora import merge_lora

    torch.manual_seed(0)
    denoiser = build_denoiser(CONFIG)
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    weight = denoiser.unet.get_parameter(f"{name}.weight").detach().clone()
    fresh = build_denoiser(CONFIG)
    fresh.load_state_dict(denoiser.state_dict())
    trained_update(tmp_path / "lora", denoiser.unet)
    state = load_file(tmp_path / "lora" / "pytorch_lora_weights.safetensors")
    merge_lora(fresh.unet, tmp_path / "lora")
    expected = weight + state[f"{name}.lora_B.weight"] @ state[f"{name}.lora_A.weight"]
    torch.testing.assert_close(fresh.unet.get_parameter(f"{name}.weight"), expected)


def test_a_new_update_changes_nothing_and_alone_is_trained():
    torch.manual_seed(0)
    denoiser = build_denoiser(CONFIG).eval()
    with torch.no_grad():
        before = denoiser(*INPUT)
        add_lora(denoiser.unet, 2, ("to_q",))
        assert torch.equal(denoiser(*INPUT), before)
    assert all("lora_" in name for name, p in denoiser.unet.named_parameters() if p.requires_grad)


def test_modules_that_are_not_there_are_named():
    with pytest.raises(BadInputError, match=r"none of the modules to_x.*lora\.modules"):
        add_lora(build_denoiser(CONFIG).unet, 2, ("to_x",))


def test_a_model_with_its_update_edits_otherwise_and_says_which_it_is(lora, model, store):
    base, updated = load_editor(model.root), load_editor(lora.root)
    assert updated.artifact_id == lora.manifest.artifact_id
    assert updated.recommended_guidance["happy"] == 2.0
    assert updated.supported == base.supported
    faces = torch.rand(1, 3, 32, 32) * 2 - 1
    how = {"strength": 400, "steps": 3, "guidance_scale": torch.tensor([2.0])}
    edits = [e.edit(faces, torch.tensor([0]), torch.tensor([1]), **how) for e in (base, updated)]
    assert torch.equal(edits[0].reconstruction, edits[1].reconstruction)
    assert not torch.equal(edits[0].edited, edits[1].edited)


@pytest.mark.usefixtures("store")
def test_an_update_has_the_classifier_of_its_model(lora, model):
    pictures = torch.rand(1, 3, 32, 32) * 2 - 1
    own, of_the_model = (load_classifier_of(root, "cpu") for root in (lora.root, model.root))
    assert torch.equal(own(pictures), of_the_model(pictures))


def test_the_base_may_be_given(lora, model):
    assert load_editor(lora.root, "cpu", model.root).artifact_id == lora.manifest.artifact_id


def test_without_its_base_an_update_is_no_model(lora):
    with pytest.raises(MissingModelError, match=r"changes the model tiny .*not in the model store.*--base"):
        load_editor(lora.root)


def test_another_base_is_refused(lora, model):
    with pytest.raises(MissingModelError, match=r"changes the model tiny .*but .*ldm is"):
        load_editor(lora.root, "cpu", model.root.parent / "ldm")


def test_a_damaged_update_is_named(lora, store, tmp_path):
    copy = shutil.copytree(lora.root, tmp_path / "copy")
    weights = copy / "pytorch_lora_weights.safetensors"
    state = load_file(weights)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(MissingModelError, match=r"pytorch_lora_weights\.safetensors is missing or damaged"):
        load_editor(copy)
    state.pop(next(iter(state)))
    save_file(state, weights)
    with pytest.raises(MissingModelError, match="is of another network"):
        load_editor(copy)
    (copy / "lora.json").write_text("{}")
    with pytest.raises(MissingModelError, match=r"lora\.json is missing or wrong"):
        load_lora_info(copy)


def test_what_is_written_opens_in_diffusers(lora, model, store):
    unet = load_denoiser(model.root).unet
    unet.load_lora_adapter(lora.root, prefix=None, use_safetensors=True)
    unet.fuse_lora()
    merged = load_editor(lora.root).denoiser.unet
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    torch.testing.assert_close(
        unet.get_submodule(name).base_layer.weight, merged.get_submodule(name).weight, rtol=1e-5, atol=1e-7
    )
