"""Faces from noise, with real networks of no skill."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from support.tiny_model import train_tiny_model

from stages.common.config import make_config
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.engine import execute
from stages.common.errors import ConfigError, Interrupted, MissingModelError
from stages.common.manifest import load_artifact
from stages.common.model_input import as_model_input
from stages.common.provenance import read_provenance
from stages.synthesize import run
from stages.synthesize.config import SynthesizeConfig
from stages.synthesize.run import TABLE_NAME, FaceJob, draw_faces, synthesize_stage


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


def make(model, out, *, seed=3, batch=32, should_stop=lambda: False, **fields):
    config = SynthesizeConfig(**{"emotions": ("happy",), "count": 3, "steps": 3, **fields})
    return execute(synthesize_stage(batch), config, as_model_input(model), out, seed=seed, should_stop=should_stop)


def pixels(artifact, path):
    return np.asarray(Image.open(artifact.path(path)))


def test_pictures_sheets_and_a_table(model, tmp_path):
    made = make(model, tmp_path / "out", emotions=("joy", "sad"))
    rows = pq.read_table(made.path(TABLE_NAME)).to_pylist()
    assert [row["path"] for row in rows] == [f"{e}/{n:06d}.png" for e in ("happy", "sad") for n in range(3)]
    assert {(row["sampler"], row["seed"], row["eta"], row["steps"]) for row in rows} == {("ddim", 3, 1.0, 3)}
    assert pixels(made, "happy/000001.png").shape == (32, 32, 3)
    assert np.array_equal(pixels(made, "happy.png")[2:34, 36:68], pixels(made, "happy/000001.png"))
    assert made.manifest.counts.ok == 6
    record = read_provenance(made.path("sad/000002.png"))
    assert (record["emotion"], record["number"], record["seed"]) == ("sad", 2, 3)
    assert record["model"] == model.manifest.artifact_id


def drawn(monkeypatch, *, emotions, **fields):
    """The numbers of the streams of noise that faces get."""
    streams = []

    def remember(seed, numbers, *_):
        streams.extend(numbers)

    editor = SimpleNamespace(generate=lambda *_a, **_k: torch.zeros(1, 3, 4, 4), latent_shape=(3, 2, 2), device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(run, "SampleNoise", remember)
        for emotion in emotions:
            for number in range(20):
                draw_faces(editor, SynthesizeConfig(**fields), 0, [FaceJob(emotion, number)])
    return streams


def test_every_face_of_a_set_of_several_expressions_has_noise_of_its_own(monkeypatch):
    streams = drawn(monkeypatch, emotions=EMOTIONS)
    assert len(set(streams)) == len(streams) == 20 * len(EMOTIONS)


def test_noise_is_shared_between_expressions_where_that_is_asked_for(monkeypatch):
    streams = drawn(monkeypatch, emotions=EMOTIONS, shared_noise=True)
    assert streams == [*range(20)] * len(EMOTIONS)


def test_a_model_that_says_nothing_of_its_latents_is_not_bounded(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Editor, "latent_rms", property(lambda _self: None))
    free = make(model, tmp_path / "free", count=1, bound=None)
    default = make(model, tmp_path / "default", count=1)
    assert np.array_equal(pixels(free, "happy/000000.png"), pixels(default, "happy/000000.png"))
    assert read_provenance(default.path("happy/000000.png"))["bound"] is None


@pytest.mark.parametrize(("sampler", "guidance"), [("ddim", 2.0), ("unipc", 1.0)])
def test_one_picture_is_the_same_bits_in_any_company(model, tmp_path, sampler, guidance):
    many = make(model, tmp_path / "many", count=4, sampler=sampler, guidance=guidance, batch=4)
    alone = make(model, tmp_path / "alone", first=2, count=1, sampler=sampler, guidance=guidance, batch=1)
    assert (tmp_path / "many/happy/000002.png").read_bytes() == (tmp_path / "alone/happy/000002.png").read_bytes()
    assert many.manifest.artifact_id != alone.manifest.artifact_id
    assert not np.array_equal(pixels(many, "happy/000001.png"), pixels(many, "happy/000002.png"))


def test_samplers_seeds_expressions_and_settings_make_other_pictures(model, tmp_path):
    variants = [
        {"sampler": "ddim", "eta": 0.0},
        {"sampler": "ddim"},
        {"sampler": "plms"},
        {"sampler": "dpmpp-2m"},
        {"sampler": "unipc"},
        {"seed": 4},
        {"guidance": 3.0},
        {"bound": None},
        {"emotions": ("sad",)},
    ]
    pictures = []
    for number, fields in enumerate(variants):
        made = make(model, tmp_path / str(number), count=1, **{"steps": 6, **fields})
        pictures.append(pixels(made, f"{fields.get('emotions', ('happy',))[0]}/000000.png").tobytes())
    assert len(set(pictures)) == len(variants)


def test_ddpm_is_ddim_with_eta_one(model, tmp_path):
    ddpm, ddim = (make(model, tmp_path / name, count=1, sampler=name) for name in ("ddpm", "ddim"))
    assert np.array_equal(pixels(ddpm, "happy/000000.png"), pixels(ddim, "happy/000000.png"))


def test_a_stopped_run_continues_to_the_same_artifact(model, tmp_path):
    whole = make(model, tmp_path / "whole", emotions=())
    asked = iter([False] * 4 + [True])
    with pytest.raises(Interrupted):
        make(model, tmp_path / "again", emotions=(), should_stop=lambda: next(asked))
    kept = tmp_path / "again.partial/neutral/000000.png"
    before = kept.stat().st_mtime_ns
    again = make(model, tmp_path / "again", emotions=())
    assert again.manifest.artifact_id == whole.manifest.artifact_id
    assert again.path("neutral/000000.png").stat().st_mtime_ns == before
    assert set(whole.manifest.metrics["emotions"]) == {"neutral", "happy", "sad"}


def test_what_the_model_cannot_do(model, tmp_path):
    with pytest.raises(ConfigError, match=r"not learned fear.*neutral, happy, sad"):
        make(model, tmp_path / "out", emotions=("fear",))
    with pytest.raises(MissingModelError, match="first_stage"):
        as_model_input(load_artifact(model.root.parent / "vqgan"))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"sampler": "unipc", "eta": 0.0}, "eta is for ddim"),
        ({"steps": 1000}, "steps"),
        ({"count": 0}, "count"),
        ({"emotions": ["hapy"]}, "Did you mean happy"),
    ],
)
def test_wrong_settings_are_named(fields, word):
    with pytest.raises(ConfigError, match=word):
        make_config(SynthesizeConfig, fields)
