"""The pipelines give what the commands give, bit for bit."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from support.expression_editor import FakeExpressionEditor
from support.fake_editor import FakeDetector, FakeEditor
from support.tiny_model import train_tiny_model

from facediff import FaceEditPipeline, FaceSynthesisPipeline
from facediff_cli.main import main
from stages.common.errors import BadInputError, ConfigError, MissingModelError
from stages.common.provenance import read_provenance


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture(scope="module")
def pipeline(model):
    return FaceEditPipeline.from_pretrained(model.root)


@pytest.fixture(scope="module")
def portrait(tmp_path_factory):
    path = tmp_path_factory.mktemp("portrait") / "portrait.png"
    Image.fromarray(data.astronaut()[:256, 96:352]).save(path)
    return path


HOW = {"source": "neutral", "strength": 300, "guidance_scale": 2.0, "num_inference_steps": 3}


def test_an_edit_is_the_commands_bit_for_bit(pipeline, model, portrait, tmp_path):
    options = ["--source", "neutral", "--strength", "300", "--guidance", "2", "--steps", "3", "--blend", "paste"]
    out = tmp_path / "command.png"
    assert main(["edit", "-e", "happy", *options, "--model", str(model.root), "-o", str(out), str(portrait)]) == 0
    made = pipeline(portrait, "joy", blend="paste", **HOW)
    assert np.array_equal(np.asarray(made.images[0]), np.asarray(Image.open(out)))
    made.save(tmp_path / "pipeline.png")
    assert (tmp_path / "pipeline.png").read_bytes() == out.read_bytes()
    assert dict(made.provenance[0])["model"] == read_provenance(out)["model"] == model.manifest.artifact_id
    assert not np.array_equal(np.asarray(made.images[0]), np.asarray(Image.open(portrait)))


def test_a_file_an_image_and_an_array_are_the_same_picture(pipeline, portrait):
    image = Image.open(portrait)
    made = pipeline([str(portrait), image, np.asarray(image)], "sad", seed=4, **HOW)
    pixels = [np.asarray(picture) for picture in made.images]
    assert np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])
    assert [len(faces) for faces in made.faces] == [1, 1, 1]
    assert made.faces[0][0].source == "neutral"
    assert {record["seed"] for record in made.provenance} == {4}


@pytest.fixture
def fake():
    return FaceEditPipeline(FakeEditor(), FakeDetector())


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_images_of_any_mode(fake, mode):
    image = Image.new("RGB", (200, 180), (90, 90, 90)).convert(mode)
    made = fake(image, "happy", source="neutral").images[0]
    assert made.size == image.size
    assert made.mode == (mode if mode in {"L", "LA", "RGB", "RGBA"} else "RGB")
    assert np.asarray(made)[100, 90].max() > 90


def test_what_the_camera_turned_is_turned_upright(fake):
    image = Image.new("RGB", (180, 200), (90, 90, 90))
    image.getexif()[0x0112] = 6
    assert fake(image, "happy").images[0].size == (200, 180)


def test_the_crop_alone(fake):
    made = fake(np.full((200, 200, 3), 90, np.uint8), "happy", crop_only=True)
    assert made.images[0].size == (128, 128)
    assert np.array_equal(np.asarray(made.images[0]), made.faces[0][0].edited_SSC)


def test_a_generator_gives_its_seed(fake):
    made = fake(np.full((200, 200, 3), 90, np.uint8), "happy", generator=torch.Generator().manual_seed(17))
    assert made.provenance[0]["seed"] == 17


def test_wrong_calls_are_named(fake, tmp_path):
    with pytest.raises(BadInputError, match=r"image 1 is float64 \(4, 4\).*uint8 RGB"):
        fake([np.full((200, 200, 3), 90, np.uint8), np.zeros((4, 4))], "happy")
    with pytest.raises(BadInputError, match="does not exist"):
        fake(tmp_path / "missing.png", "happy")
    with pytest.raises(ConfigError, match="not learned fear"):
        fake(np.full((200, 200, 3), 90, np.uint8), "fear")
    with pytest.raises(ConfigError, match="blur"):
        fake(np.full((200, 200, 3), 90, np.uint8), "happy", blur=1)
    with pytest.raises(MissingModelError, match=r"no model 'facediff-minni'.*facediff-mini"):
        FaceEditPipeline.from_pretrained("facediff-minni")


def test_new_faces_are_the_commands_bit_for_bit(model, tmp_path):
    command = ["synthesize", "-e", "happy", "--count", "3", "--steps", "3", "--seed", "5", "--guidance", "2"]
    assert main([*command, "--model", str(model.root), "--device", "cpu", "-o", str(tmp_path / "out")]) == 0
    pipeline = FaceSynthesisPipeline.from_pretrained(model.root)
    how = {"num_inference_steps": 3, "guidance_scale": 2.0, "generator": torch.Generator().manual_seed(5)}
    made = pipeline("happiness", num_images=2, first=1, **how)
    for number, (image, record) in enumerate(zip(made.images, made.provenance, strict=True), start=1):
        path = tmp_path / "out" / "happy" / f"{number:06d}.png"
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(path)))
        assert record["number"] == number == read_provenance(path)["number"]


def test_a_new_face_that_the_model_cannot_make(model):
    with pytest.raises(ConfigError, match="not learned anger"):
        FaceSynthesisPipeline.from_pretrained(model.root)("anger")


def test_directions_need_no_emotion():
    pipeline = FaceEditPipeline(FakeExpressionEditor(own={"jawOpen": 0.2}), FakeDetector())
    pixels = np.random.default_rng(0).integers(40, 200, (150, 220, 3)).astype(np.uint8)
    made = pipeline(pixels, au={"AU12L": 0.5}, expression={"jawOpen": 0.6}, num_inference_steps=3)
    settings = made.provenance[0]["settings"]
    assert (made.provenance[0]["emotion"], settings["au"]) == (None, {"AU12L": 0.5})
    assert settings["expression"] == {"jawOpen": "0.6"}
    assert not np.array_equal(np.asarray(made.images[0]), pixels)
    found = pipeline.measure(pixels)
    assert found["jawOpen"] == pytest.approx(0.2)
    copied = pipeline(pixels, copied=found, num_inference_steps=3)
    assert copied.provenance[0]["settings"]["copied"] == found
    assert np.array_equal(np.asarray(copied.images[0]), pixels)


def test_directions_need_a_model_that_hears_them(fake):
    with pytest.raises(ConfigError, match="no expression is asked for"):
        fake(np.zeros((150, 220, 3), np.uint8))
    with pytest.raises(ConfigError, match="labels alone"):
        fake(np.zeros((150, 220, 3), np.uint8), au={"AU12": 1.0})
