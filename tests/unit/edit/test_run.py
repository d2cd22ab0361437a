"""One edit with a model and a detector of known answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.fake_editor import FakeDetector, FakeEditor, make_face

from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, ConfigError
from stages.common.progress import SilentProgress
from stages.edit.batch import Wanted, count_outcomes, edit_files
from stages.edit.config import EditConfig, make_edit_config
from stages.edit.demo import demo_outputs, make_demo
from stages.edit.inputs import Source
from stages.edit.photo import load_photo
from stages.edit.run import choose_faces, edit_photo

THREE = FakeDetector(((150.0, 20.0, 60.0), (10.0, 20.0, 50.0), (70.0, 20.0, 70.0)))


@pytest.fixture
def photo_path(tmp_path):
    pixels = np.random.default_rng(5).integers(40, 200, (150, 220, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_the_face_is_brighter_and_the_rest_untouched(photo_path):
    photo = load_photo(photo_path)
    result = edit_photo(photo, FakeEditor(), FakeDetector(), EditConfig(emotion="happy"))
    change = result.stored_HWC.astype(int) - photo.stored_HWC
    assert change[80, 90].tolist() == [10, 10, 10]
    assert (change[:, 150:] == 0).all()
    assert (change[:25] == 0).all()
    face = result.faces[0]
    assert (face.source, face.source_probability) == ("neutral", 0.65)
    assert result.provenance["source_sha256"] == photo.sha256
    assert result.provenance["faces"][0]["source_was_auto"] is True
    assert result.provenance["settings"]["strength"] == 500
    assert len(result.provenance["faces"][0]["transform"]) == 6


def test_same_label_returns_the_photo(photo_path):
    photo = load_photo(photo_path)
    config = EditConfig(emotion="happy", source="happy", guidance=1)
    result = edit_photo(photo, FakeEditor(), FakeDetector(), config)
    assert np.array_equal(result.stored_HWC, photo.stored_HWC)
    assert result.provenance["faces"][0]["source_was_auto"] is False


@pytest.mark.parametrize(
    ("source", "emotion", "given", "expected"),
    [
        ("neutral", "happy", None, 3.0),
        ("neutral", "sad", None, 2.0),
        ("neutral", "sad", 4.5, 4.5),
        ("happy", "sad", None, 3.0),
    ],
)
def test_guidance_is_the_users_or_the_models_for_a_neutral_face(photo_path, source, emotion, given, expected):
    editor = FakeEditor(sees=source)
    result = edit_photo(load_photo(photo_path), editor, FakeDetector(), EditConfig(emotion=emotion, guidance=given))
    assert editor.seen[0]["guidance"] == [expected]
    assert result.provenance["faces"][0]["guidance"] == expected


def test_the_source_is_the_likeliest_label_that_the_model_has_learned(photo_path):
    editor = FakeEditor(sees="contempt")
    result = edit_photo(load_photo(photo_path), editor, FakeDetector(), EditConfig(emotion="happy"))
    assert result.faces[0].source in editor.supported


@pytest.mark.parametrize(
    ("face", "lefts"), [("largest", [70]), ("all", [10, 70, 150]), ("1", [10]), ("2", [70]), (3, [150])]
)
def test_faces_are_counted_from_the_left(photo_path, face, lefts):
    result = edit_photo(load_photo(photo_path), FakeEditor(), THREE, make_edit_config(emotion="happy", face=face))
    assert [f.box_xyxy[0] for f in result.faces] == lefts


def test_an_unlikely_find_beside_a_clear_face_is_left_out(photo_path):
    photo = load_photo(photo_path)
    clear, unlikely = make_face(10, 10, 50), replace(make_face(80, 10, 90), score=0.15)
    assert choose_faces([unlikely, clear], EditConfig(emotion="happy"), photo) == [clear]
    assert choose_faces([unlikely, clear], EditConfig(emotion="happy", face="all"), photo) == [clear]
    assert choose_faces([unlikely], EditConfig(emotion="happy"), photo) == [unlikely]


def test_a_face_that_is_not_there(photo_path):
    photo = load_photo(photo_path)
    for detector, face, reason in ((THREE, 4, "no such face"), (FakeDetector(()), "largest", "no face")):
        with pytest.raises(BadInputError) as caught:
            edit_photo(photo, FakeEditor(), detector, EditConfig(emotion="happy", face=face))
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    "fields", [{"emotion": "fear"}, {"emotion": "happy", "source": "fear"}, {"emotion": "happy", "negative": "fear"}]
)
def test_an_emotion_not_learned_is_a_usage_error_that_lists_what_is(photo_path, fields):
    with pytest.raises(ConfigError, match=r"fear\. It can do: neutral, happy, sad"):
        edit_photo(load_photo(photo_path), FakeEditor(), FakeDetector(), EditConfig(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"emotion": "hapy"},
        {"strength": 0},
        {"strength": 1001},
        {"steps": 0},
        {"steps": 40, "strength": 39},
        {"guidance": -1},
        {"guidance": float("nan")},
        {"face": "0"},
        {"face": "left"},
        {"source": "nobody"},
        {"blend": "mix"},
        {"unknown": 1},
        {"sampler": "euler"},
        {"negative": "nobody"},
    ],
)
def test_wrong_settings_are_named(fields):
    with pytest.raises(ConfigError) as caught:
        make_edit_config(**{"emotion": "happy", **fields})
    assert "\n" not in str(caught.value)
    assert next(iter(fields)) in str(caught.value)


@pytest.mark.parametrize("setting", ["guided=there", "guided_levels=[300, 50]", "negative=nobody", "unknown=1", "x"])
def test_wrong_values_of_set_are_named(setting):
    with pytest.raises(ConfigError, match=rf"--set '?{setting.partition('=')[0]}"):
        make_edit_config((setting,), emotion="happy")


def test_the_method_reaches_the_model(photo_path):
    editor = FakeEditor()
    settings = ("guided=back", "guided_levels=[50, 300]", "negative=source")
    config = make_edit_config(settings, emotion="happy", sampler="dpmpp-2m")
    record = edit_photo(load_photo(photo_path), editor, FakeDetector(), config).provenance
    method = editor.seen[0]["method"]
    assert (method.sampler, method.guided, method.guided_levels) == ("dpmpp-2m", "back", (50, 300))
    assert method.negative_labels.tolist() == [EMOTIONS.index("neutral")]
    assert record["settings"]["sampler"] == "dpmpp-2m"
    named = edit_photo(load_photo(photo_path), editor, FakeDetector(), EditConfig(emotion="happy", negative="unhappy"))
    assert editor.seen[1]["method"].negative_labels.tolist() == [EMOTIONS.index("sad")]
    assert named.provenance["settings"]["negative"] == "sad"


def test_synonyms_become_canonical():
    config = make_edit_config(emotion=" Angry", source="AUTO")
    assert (config.emotion, config.source) == ("anger", "auto")


def test_one_bad_photo_does_not_stop_the_others(photo_path, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    loads = []

    def load():
        loads.append(1)
        return FakeEditor(), FakeDetector()

    targets = [tmp_path / "bad-out.png", tmp_path / "a.png", tmp_path / "b.jpg"]
    outcomes = edit_files(
        [Source(path, Path(path.name)) for path in (bad, photo_path, photo_path)],
        targets,
        load_models=load,
        wanted=Wanted(EditConfig(emotion="happy")),
        progress=SilentProgress(),
    )
    assert count_outcomes(outcomes) == {"total": 3, "ok": 2, "rejected_by_reason": {"empty": 1}}
    assert [t.exists() for t in targets] == [False, True, True]
    assert len(loads) == 1


def test_crops_of_several_faces_are_numbered(photo_path, tmp_path):
    outcomes = edit_files(
        [Source(photo_path, Path(photo_path.name))],
        [tmp_path / "crop.png"],
        load_models=lambda: (FakeEditor(), THREE),
        wanted=Wanted(EditConfig(emotion="happy", face="all", crop_only=True)),
        progress=SilentProgress(),
    )
    assert [path.name for path in outcomes[0].outputs] == ["crop-1.png", "crop-2.png", "crop-3.png"]
    for path in outcomes[0].outputs:
        with Image.open(path) as crop:
            assert crop.size == (128, 128)


def test_the_demo_writes_every_emotion_and_a_sheet(tmp_path):
    editor = FakeEditor()
    detector = FakeDetector(((170.0, 60.0, 130.0),))
    paths = make_demo(tmp_path, editor, detector, SilentProgress())
    assert paths == demo_outputs(tmp_path, editor.supported)
    assert all(path.is_file() for path in paths)
    with Image.open(paths[-1]) as sheet:
        assert sheet.width == 5 * 264 + 8
        assert sheet.height == 256 + 34 + 8 + 8
