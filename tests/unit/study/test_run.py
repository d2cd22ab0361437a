"""What `study make` writes: blinded, complete, equal for equal input; and what it refuses."""

import json
import re

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support.study import write_pictures

from stages.common.errors import BadInputError, ConfigError
from stages.common.images import read_rgb
from stages.common.manifest import ArtifactKind, load_artifact
from stages.study.key import Comparison, Recognition, SideCheck, load_key
from stages.study.pictures import wreck


def read_page(study):
    text = study.path("page/study.js").read_text()
    return json.loads(text.removeprefix("const STUDY = ").removesuffix(";\n"))


def test_the_page_shows_what_the_key_says(study, key, folders):
    page = read_page(study)
    places = {("ours", "happy"): "ours/happy", ("ours", "sad"): "ours/sad", ("other", "happy"): "other/happiness",
              ("other", "sad"): "other/sad"}  # fmt: skip

    def matches(shown, system, target, face):
        folder = folders / ("source" if system == "source" else places[system, target])
        (original,) = folder.glob(f"{face}.*")
        return np.array_equal(read_rgb(study.path(f"page/pictures/{shown}")), read_rgb(original))

    assert page["study"] == key.study
    seen = set()
    for form, asked in zip(key.forms, page["forms"], strict=True):
        assert asked["words"][-1] == "none"
        for question, shown in zip(form, asked["questions"], strict=True):
            seen.add(type(question))
            if isinstance(question, Comparison):
                for side in ("left", "right"):
                    assert matches(shown[side], getattr(question, side), question.target, question.face)
            elif isinstance(question, Recognition):
                assert matches(shown["picture"], question.system, question.target, question.face)
            elif isinstance(question, SideCheck):
                other = {"left": "right", "right": "left"}[question.expected]
                assert matches(shown[question.expected], "source", None, question.face)
                assert not matches(shown[other], "source", None, question.face)
            else:
                assert shown == {"word": question.expected}
    assert len(seen) == 4


def test_participants_cannot_tell_which_system_made_what(folders, make_study):
    told = PngImagePlugin.PngInfo()
    told.add_text("facediff", "made by ours")
    for path in folders.rglob("ours/*/*.png"):
        Image.open(path).save(path, pnginfo=told)
    study = make_study()
    for path in study.path("page/pictures").iterdir():
        assert re.fullmatch(r"[0-9a-f]{20}\.png", path.name)
        assert b"ours" not in path.read_bytes()
    page = read_page(study)
    assert {name for form in page["forms"] for q in form["questions"] for name in q} == {
        "left", "right", "picture", "word",
    }  # fmt: skip
    assert not re.search(r'"(ours|other|source|a|b|c)"', json.dumps(page))


def test_the_page_loads_nothing_from_elsewhere(study):
    page = study.path("page")
    assert {p.name for p in page.iterdir()} == {"index.html", "page.js", "study.js", "style.css", "pictures"}
    for path in page.glob("*.*"):
        assert not re.search(r"//\w+\.|https?:|@import|url\(", path.read_text())
    assert "default-src 'self'" in (page / "index.html").read_text()


def test_equal_input_gives_equal_bytes(make_study):
    first, again, other = make_study("one"), make_study("two"), make_study("three", seed=1)
    assert first.manifest.kind is ArtifactKind.STUDY
    assert first.manifest.artifact_id == again.manifest.artifact_id != other.manifest.artifact_id
    assert load_artifact(first.root).manifest.counts.total == 15


def test_faces_are_drawn_by_the_seed(make_study):
    study = make_study(faces=2, realism=4)
    assert len({q.face for form in load_key(study.root).forms for q in form if isinstance(q, Comparison)}) == 2


def test_only_pairs_with_the_reference(make_study):
    forms = load_key(make_study(reference="ours", with_source=False).root).forms
    assert {frozenset((q.left, q.right)) for form in forms for q in form if isinstance(q, Comparison)} == {
        frozenset(("ours", "other"))
    }


def test_a_smaller_sample_is_never_taken(make_study, folders):
    (folders / "other/sad/b.jpg").unlink()
    with pytest.raises(BadInputError, match=r"other \(sad\): 1 of 3 sources have no edited picture \(b\)"):
        make_study()
    (folders / "other/sad/a.png").unlink()
    (folders / "other/sad/c.png").unlink()
    with pytest.raises(BadInputError, match="holds no pictures"):
        make_study()
    assert not list(folders.glob("study*"))


def test_systems_must_show_the_same_emotions(make_study, folders):
    write_pictures(folders / "other" / "fear", 9)
    with pytest.raises(BadInputError, match="ours shows happy, sad, but other shows fear, happy, sad"):
        make_study()


def test_pictures_of_another_size_and_damaged_ones_are_refused(make_study, folders):
    Image.new("RGB", (9, 9)).save(folders / "ours/sad/a.png")
    with pytest.raises(BadInputError, match=r"a.png is 20 x 20, but .*a.png is 9 x 9"):
        make_study()
    (folders / "ours/sad/a.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="not a picture"):
        make_study()
    write_pictures(folders / "mended", 2, ("a.png",))
    (folders / "mended/a.png").rename(folders / "ours/sad/a.png")
    assert make_study().manifest.counts.ok == 15, "nothing of the failed runs is in the way"


def test_emotions_must_be_among_those_that_can_be_chosen(make_study, folders):
    write_pictures(folders / "flat", 7)
    with pytest.raises(ConfigError, match=r"is not known. Give NAME=DIR:EMOTION"):
        make_study(systems=("flat",), targets={"flat": None})
    with pytest.raises(ConfigError, match="not contempt"):
        make_study(systems=("flat",), targets={"flat": "contempt"})
    study = make_study(systems=("flat",), targets={"flat": "contempt"}, emotions=0, realism=3)
    assert study.manifest.metrics["questions_per_form"] == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"realism": 19}, "realism is 19, but these folders give 18. Set realism to at most 18"),
        ({"emotions": 13}, "emotions is 13, but these folders give 12"),
        ({"faces": 4}, "faces is 4, but these folders give 3"),
        ({"reference": "nobody"}, "reference 'nobody' is not one of the systems. Known: ours, other, source"),
    ],
)
def test_more_questions_than_there_are(make_study, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_study(**settings)


@pytest.mark.parametrize("size", [20, 33, 128])
def test_a_wreck_has_lost_the_face(size):
    picture = np.random.default_rng(0).integers(0, 256, (size, size + 3, 3), np.uint8)
    wrecked = wreck(picture)
    assert wrecked.shape == picture.shape
    assert (wrecked != picture).mean() > 0.7
    step = size // 5
    inside = slice(0, 5 * step), slice(0, 5 * ((size + 3) // 5))
    assert np.array_equal(np.sort(wrecked[inside], axis=None), np.sort(picture[inside], axis=None))
