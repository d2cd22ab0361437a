"""Files, folders and patterns become photos and videos with names of their own."""

from pathlib import Path

import pytest

from stages.common.errors import BadInputError, ConfigError
from stages.edit.inputs import Source, find_sources


@pytest.fixture
def holiday(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("holiday/b.JPG", "holiday/a.mov", "holiday/day 2/é.png", "holiday/notes.txt", "holiday/out/b.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return Path("holiday")


def test_a_folder_is_all_below_it_except_earlier_results(holiday):
    found = find_sources([holiday, Path("x.png")], holiday / "out")
    assert [source.name.as_posix() for source in found] == ["a.mov", "b.JPG", "day 2/é.png", "x.png"]
    assert [source.is_video for source in found] == [True, False, False, False]
    assert len(find_sources([holiday, holiday], Path("elsewhere"))) == 4
    assert len(find_sources([holiday], holiday)) == 4


def test_patterns_match_pictures_alone(holiday):
    assert find_sources([Path("holiday/*")], None) == [
        Source(Path("holiday/a.mov"), Path("a.mov")),
        Source(Path("holiday/b.JPG"), Path("b.JPG")),
    ]
    assert len(find_sources([Path("**/*.png")], None)) == 1
    assert len(find_sources([holiday.absolute() / "*.mov"], None)) == 1


def test_a_file_whose_name_looks_like_a_pattern(holiday):
    Path("a[1].png").touch()
    assert find_sources([Path("a[1].png")], None)[0].path == Path("a[1].png")


def test_what_gives_nothing_is_named(holiday):
    with pytest.raises(ConfigError, match="--out"):
        find_sources([holiday], None)
    Path("empty").mkdir()
    for given in ("empty", "*.webm"):
        with pytest.raises(BadInputError, match="no photo"):
            find_sources([Path(given)], Path("out"))
