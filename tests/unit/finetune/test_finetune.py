"""Tuning as a stage: what it takes, what it writes, and what it refuses."""

import json

import numpy as np
import pytest
import torch
from support.squeezenet import write_squeezenet
from support.tiny_clip import write_tiny_clip
from support.tiny_model import tiny_config

from stages.common.editor import load_editor
from stages.common.emotions import EMOTIONS
from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError, MissingModelError
from stages.common.manifest import ArtifactKind, find_problems, load_artifact
from stages.common.model_input import as_model_input
from stages.common.perceptual_weights import squeezenet_file
from stages.common.shards import UNLABELLED, ShardDataset
from stages.finetune.clip import find_clip, load_clip_guide
from stages.finetune.config import FinetuneConfig
from stages.finetune.identity import find_identity, load_ir_se50
from stages.finetune.noise import choose_pictures
from stages.finetune.prompts import TEMPLATES, phrasings
from stages.finetune.run import FINETUNE, GUIDE_ROLE, IDENTITY_ROLE, finetune_stage
from stages.models.ir_se50 import IrSe50


def tune(model, shards, out, *overrides, spec=FINETUNE, **judges):
    inputs = {"data": shards, **as_model_input(model), **judges}
    return execute(spec, tiny_config(FINETUNE, *overrides), inputs, out)


def test_it_writes_an_update_that_knows_its_base(lora, model):
    assert lora.manifest.kind is ArtifactKind.LORA
    info = json.loads(lora.path("lora.json").read_text())
    assert info["base"] == model.manifest.artifact_id
    assert (info["emotion"], info["guidance"], info["rank"]) == ("happy", 2.0, 2)
    assert lora.manifest.metrics["guide"] == "classifier"
    assert lora.manifest.metrics["identity"] == "none"
    assert {"val_loss", "val_guide", "val_pixel"} <= set(lora.manifest.metrics)


def test_without_lora_it_writes_a_whole_model(model, shards, tmp_path):
    whole = tune(model, shards, tmp_path / "out", "lora=null", spec=finetune_stage(whole=True))
    assert whole.manifest.kind is ArtifactKind.MODEL
    assert find_problems(whole) == []
    before, after = load_editor(model.root), load_editor(whole.root)
    assert after.recommended_guidance == {"happy": 2.0}
    assert after.supported == before.supported
    faces = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(after.classify(faces), before.classify(faces))
    weights = [editor.denoiser.unet.conv_in.weight for editor in (before, after)]
    assert not torch.equal(*weights)
    assert (weights[0] - weights[1]).abs().max() < 0.1


def test_clip_guides_and_its_files_belong_to_the_run(model, shards, tmp_path):
    clip = find_clip(str(write_tiny_clip(tmp_path / "clip")))
    tuned = tune(model, shards, tmp_path / "out", "guide=clip", **{GUIDE_ROLE: clip})
    assert tuned.manifest.metrics["guide"] == "clip"
    roles = {reference.role: reference.id for reference in tuned.manifest.inputs}
    assert roles[GUIDE_ROLE] == clip.manifest.artifact_id
    (tmp_path / "clip" / "merges.txt").write_text("#version: 0.3\n")
    assert find_clip(str(tmp_path / "clip")).manifest.artifact_id != clip.manifest.artifact_id


def test_texts_of_clip_lead_to_the_target_from_every_class(tmp_path):
    guide = load_clip_guide(write_tiny_clip(tmp_path / "clip"), EMOTIONS.index("sad"), "cpu")
    lengths = guide.directions_KD.norm(dim=1)
    assert lengths[EMOTIONS.index("sad")] == 0
    assert (lengths > 0).sum() == 7
    assert torch.equal(guide.directions_KD[EMOTIONS.index("neutral")], guide.directions_KD[EMOTIONS.index("contempt")])
    assert guide.size_px == 16


def test_an_expression_is_said_in_79_ways():
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 79
    assert phrasings("fear")[0] == "scared face"
    assert all(text.endswith("surprised face") for text in phrasings("surprise"))
    assert phrasings("neutral") == phrasings("contempt")


def test_no_clip_on_this_machine(tmp_path):
    with pytest.raises(MissingModelError, match=r"no CLIP 'someone/clip' on this machine.*--guide classifier"):
        find_clip("someone/clip")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MissingModelError, match="holds no CLIP in safetensors"):
        find_clip(str(tmp_path))


def test_the_identity_network_comes_from_the_store(model, shards, tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with pytest.raises(MissingModelError, match=r"model_ir_se50\.pth is neither .*fetch ir-se50`, or name another"):
        find_identity("arcface")
    assert find_identity("none") is None
    write_squeezenet(squeezenet_file())
    network = find_identity("squeezenet")
    tuned = tune(model, shards, tmp_path / "out", "identity=squeezenet", **{IDENTITY_ROLE: network})
    assert tuned.manifest.metrics["val_identity"] > 0
    assert tuned.manifest.config["identity"] == "squeezenet"


def test_a_file_of_another_recogniser_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model_ir_se50.pth")
    with pytest.raises(MissingModelError, match="does not hold IR-SE50"):
        load_ir_se50(tmp_path / "model_ir_se50.pth")


def test_weights_of_the_recogniser_are_read_as_they_are(tmp_path):
    state = {name: torch.full(v.shape, 0.5) for name, v in meta_state().items() if v.is_floating_point()}
    state |= {name: torch.zeros((), dtype=v.dtype) for name, v in meta_state().items() if not v.is_floating_point()}
    torch.save(state, tmp_path / "ir.pth")
    network = load_ir_se50(tmp_path / "ir.pth")
    assert not network.training
    assert all((p == 0.5).all() and not p.requires_grad for p in network.parameters())


def meta_state():
    with torch.device("meta"):
        return IrSe50().state_dict()


LABELS = np.array([0] * 50 + [1] * 30 + [2] * 3 + [UNLABELLED] * 20)


def test_pictures_of_the_target_and_unlabelled_ones_are_left_out():
    chosen = choose_pictures(LABELS, 1, per_class=10, samples=100, seed=0)
    assert list(np.bincount(LABELS[chosen], minlength=3)) == [10, 0, 3]
    assert np.array_equal(chosen, np.unique(chosen))
    assert len(choose_pictures(LABELS, 1, per_class=10, samples=5, seed=0)) == 5
    assert not np.array_equal(chosen, choose_pictures(LABELS, 1, per_class=10, samples=100, seed=1))


def test_test_pictures_are_never_opened(model, shards, monkeypatch, tmp_path):
    opened = []

    def spy(artifact, split):
        opened.append(split)
        return ShardDataset(artifact, split)

    monkeypatch.setattr("stages.finetune.run.ShardDataset", spy)
    tune(model, shards, tmp_path / "out", "loop.steps=1", "loop.validate_every=1")
    assert opened == ["train", "val"]


def test_what_cannot_be_tuned(model, shards, tmp_path):
    with pytest.raises(ConfigError, match="not learned fear"):
        tune(model, shards, tmp_path / "a", "target=fear")
    ldm = load_artifact(model.root.parent / "ldm")
    with pytest.raises(MissingModelError, match="no emotion classifier to guide by"):
        tune(ldm, shards, tmp_path / "b")
    with pytest.raises(ConfigError, match="more steps than the strength"):
        tiny_config(FINETUNE, "steps=101")
    assert FinetuneConfig(target="surprised").target == "surprise"


def test_a_split_of_the_target_alone_is_bad_input(model, tmp_path, monkeypatch):
    from support.shards import make_shards

    monkeypatch.setattr("support.shards.COUNTS", {"train": {"happy": 3}, "val": {"happy": 2}})
    with pytest.raises(BadInputError, match="'train' has no labelled picture of another class than happy"):
        tune(model, make_shards(tmp_path / "data"), tmp_path / "out")
