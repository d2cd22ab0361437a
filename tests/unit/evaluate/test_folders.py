"""Folders of any system's results: what is paired, and what is refused in one line."""

from pathlib import Path

import pytest

from stages.common.emotions import EMOTIONS
from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError
from stages.common.folders import list_pictures, pair_up, parse_system, read_pictures
from stages.common.table import read_table
from stages.evaluate.config import FoldersConfig
from stages.evaluate.folders import folders_spec
from stages.evaluate.table import read_rows

NAMES = ["a.png", "b.png", "c.png"]


@pytest.fixture
def source(tmp_path, write_pictures):
    return write_pictures(tmp_path / "source", NAMES)


def evaluate(out: Path, source: Path, systems: dict[str, tuple[Path, str | None]], *metrics: str, **inputs):
    config = FoldersConfig(targets={name: target for name, (_, target) in systems.items()}, metrics=metrics)
    folders = {name: read_pictures(folder) for name, (folder, _) in systems.items()}
    return execute(folders_spec(list(systems)), config, {"source": read_pictures(source), **folders, **inputs}, out)


def test_systems_stand_beside_one_another(tmp_path, source, write_pictures):
    far = write_pictures(tmp_path / "far", NAMES, seed=1)
    systems = {"same": (source, "happy"), "far": (far, "happy")}
    artifact = evaluate(tmp_path / "out", source, systems, "psnr", "ssim", "l1")
    same, other = read_table(artifact).rows
    assert (same.labels, other.labels) == (
        {"system": "same", "target": "happy"},
        {"system": "far", "target": "happy"},
    )
    assert same.values["ssim"].mean == pytest.approx(1)
    assert same.values["l1"].mean == 0
    assert other.values["psnr"].mean < 20 < same.values["psnr"].mean
    assert [row["sample_key"] for row in read_rows(artifact.path("samples.parquet"))] == ["a", "b", "c"] * 2


def test_a_folder_for_each_emotion_gives_a_row_each_and_a_mean(tmp_path, source, tiny, write_pictures):
    edited = tmp_path / "edited"
    write_pictures(edited / "happiness", NAMES, seed=1)
    write_pictures(edited / "angry", ["a.jpg", "b.jpg", "c.jpg"], seed=2)
    artifact = evaluate(tmp_path / "out", source, {"x": (edited, None)}, "psnr", "accuracy_own", own=tiny)
    rows = read_table(artifact).rows
    assert [row.labels["target"] for row in rows] == ["anger", "happy", "mean"]
    assert [row.samples for row in rows] == [3, 3, 3]
    assert set(rows[0].judged["own"]) <= set(EMOTIONS)
    assert rows[0].values["accuracy_own"].mean == rows[0].judged["own"].get("anger", 0)


def test_without_a_target_there_is_no_accuracy(tmp_path, source, tiny):
    artifact = evaluate(tmp_path / "out", source, {"x": (source, None)}, "psnr", "accuracy_own", own=tiny)
    (row,) = read_table(artifact).rows
    assert row.labels == {"system": "x", "target": None}
    assert set(row.values) == {"psnr"}


def test_one_picture_is_enough_but_has_no_interval(tmp_path, write_pictures):
    one = write_pictures(tmp_path / "one", ["a.png"])
    (row,) = read_table(evaluate(tmp_path / "out", one, {"x": (one, None)}, "l1")).rows
    assert (row.samples, row.values["l1"].interval_95) == (1, None)


def test_unmatched_names_are_counted_and_named(source, tmp_path, write_pictures):
    edited = write_pictures(tmp_path / "edited", ["b.png", "d.png"])
    with pytest.raises(BadInputError, match=r"x \(happy\): 2 of 3 .* \(a, c\); 1 edited picture.* no source \(d\)"):
        pair_up("x", source, edited, "happy")


def test_different_sizes_are_refused(source, tmp_path, write_pictures):
    edited = write_pictures(tmp_path / "edited", NAMES, size_px=64)
    with pytest.raises(BadInputError, match=r"a.png is 32 x 32, but .*a.png is 64 x 64"):
        evaluate(tmp_path / "out", source, {"x": (edited, None)}, "l1")


def test_folders_that_hold_no_usable_pictures(tmp_path, source, write_pictures):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no pictures"):
        read_pictures(tmp_path / "empty")
    with pytest.raises(BadInputError, match="is not a folder"):
        read_pictures(tmp_path / "absent")
    twice = write_pictures(tmp_path / "twice", ["a.png", "a.jpg"])
    with pytest.raises(BadInputError, match=r"both a.jpg and a.png"):
        list_pictures(twice)
    write_pictures(tmp_path / "edited" / "hapy", NAMES)
    with pytest.raises(BadInputError, match=r"hapy is not named after an emotion. Did you mean happy"):
        pair_up("x", source, tmp_path / "edited", None)
    (source / "b.png").write_bytes(b"no picture")
    with pytest.raises(BadInputError, match="not a picture"):
        evaluate(tmp_path / "out", source, {"x": (source, None)}, "l1")


def test_the_content_of_a_folder_decides_what_it_is(tmp_path, write_pictures):
    first, moved = (write_pictures(tmp_path / name, NAMES) for name in ("first", "moved"))
    other = write_pictures(tmp_path / "other", NAMES, seed=1)
    ids = [read_pictures(folder).manifest.artifact_id for folder in (first, moved, other)]
    assert ids[0] == ids[1] != ids[2]


def test_systems_are_named_on_the_command_line(tmp_path):
    odd = tmp_path / "a:happy"
    odd.mkdir()
    assert parse_system("x=out:angry", "--edited").target == "anger"
    assert parse_system("x=out:angry", "--edited").root == Path("out")
    assert (parse_system(f"x={odd}", "--edited").root, parse_system(f"x={odd}", "--edited").target) == (odd, None)
    assert parse_system("x=a=b", "--edited").root == Path("a=b")
    for wrong in ("out", "=out", "x="):
        with pytest.raises(ConfigError, match="NAME=DIR"):
            parse_system(wrong, "--edited")
    with pytest.raises(ConfigError, match="unknown emotion"):
        parse_system("x=out:hapy", "--edited")
    for names in (["source"], ["a", "a"]):
        with pytest.raises(ConfigError, match="must differ"):
            folders_spec(names)
