"""Reading folders of clips: any, GRID's and MEAD's."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.clips.sources import NOT_LISTED, Clip, read_grid, read_mead, read_videos
from stages.common.errors import BadInputError
from stages.common.samples import split_by_hash
from stages.common.transcripts import Word

ALIGN = "0 16250 sil\n16250 21500 bin\n21500 26750 blue\n26750 27000 sp\n27000 74500 sil\n"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_grid_takes_splits_and_text_from_the_speakers_table(tmp_path: Path) -> None:
    root = touch(tmp_path, "s1/a.mpg", "s1/b.mpg", "s1/other.mpg")
    (root / "s1/a.align").write_text(ALIGN)
    (root / "s1.csv").write_text("clip,split,text\na,test,bin blue now\nb,val,\nabsent,train,x\n")
    clips = read_grid(root)
    assert clips.fps == 25
    first, second, third = clips.clips
    words = (Word("bin", 0.65, 0.86), Word("blue", 0.86, 1.07))
    assert first == Clip("s1/a.mpg", text="bin blue now", words=words, identity="s1", split="test")
    assert second == Clip("s1/b.mpg", identity="s1", split="val")
    assert (third.source_path, third.rejection) == ("s1/other.mpg", NOT_LISTED)


def test_grid_without_a_table_keeps_a_speaker_in_one_split(tmp_path: Path) -> None:
    root = touch(tmp_path, "s1/a.mpg", "s1/b.mpg", "alignments/s1/b.align")
    (root / "alignments/s1/b.align").write_text(ALIGN)
    first, second = read_grid(root).clips
    assert first.split == second.split == split_by_hash("s1")
    assert (first.text, second.text) == (None, "bin blue")


def test_meads_layout_says_who_what_and_how_strongly(tmp_path: Path) -> None:
    root = touch(
        tmp_path,
        "M003/video/front/angry/level_3/001.mp4",
        "M003/audio/angry/level_3/001.m4a",
        "W011/video/front/disgusted/level_1/002.mp4",
        "W011/video/left_30/disgusted/level_1/002.mp4",
        "W014/video/front/neutral/level_1/003.mp4",
    )
    clips = read_mead(root, ["W011"])
    assert clips.fps == 30
    assert clips.clips == (
        Clip(
            "M003/video/front/angry/level_3/001.mp4",
            sound_path="M003/audio/angry/level_3/001.m4a",
            emotion="anger",
            level=3,
            identity="M003",
            split="test",
        ),
        Clip("W011/video/front/disgusted/level_1/002.mp4", emotion="disgust", level=1, identity="W011", split="val"),
        Clip("W014/video/front/neutral/level_1/003.mp4", emotion="neutral", level=1, identity="W014", split="train"),
    )


def test_mead_refuses_what_would_mix_splits_or_labels(tmp_path: Path) -> None:
    root = touch(tmp_path, "M003/video/front/angry/level_3/001.mp4")
    with pytest.raises(BadInputError, match="M003 can only be test"):
        read_mead(root, ["M003"])
    with pytest.raises(BadInputError, match="no subject W999"):
        read_mead(root, ["W999"])
    touch(root, "M005/video/front/grumpy/level_1/001.mp4")
    with pytest.raises(BadInputError, match="grumpy"):
        read_mead(root)


def test_any_clips_with_and_without_transcripts(tmp_path: Path) -> None:
    root = touch(tmp_path / "clips", "b.mov", "ä/a.MP4", "notes.txt")
    assert [clip.source_path for clip in read_videos(root).clips] == ["b.mov", "ä/a.MP4"]
    table = tmp_path / "t.csv"
    table.write_text("path,text,identity,emotion,split\nä/a.MP4,Grüß Gott,Ann,joy,test\ngone.mp4,,,,\n", "utf-8")
    first, second = read_videos(root, table).clips
    assert (first.source_path, first.split) == ("gone.mp4", split_by_hash("gone.mp4"))
    assert second == Clip("ä/a.MP4", text="Grüß Gott", emotion="happy", identity="Ann", split="test")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("path,speaker\na.mp4,x\n", "unknown column 'speaker'"),
        ("text\nhello\n", "no column path"),
        ("path,split\na.mp4,dev\n", "line 2.*dev"),
        ("path\n../a.mp4\n", "line 2.*inside"),
        ("path,emotion\na.mp4,hapy\n", "line 2.*happy"),
        ("path\na.mp4\na.mp4\n", "listed twice"),
        ("path\n", "no clips"),
    ],
)
def test_transcripts_that_make_no_sense_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInputError, match=problem):
        read_videos(tmp_path, tmp_path / "t.csv")


@pytest.mark.parametrize("read", [read_videos, read_grid, read_mead])
def test_missing_and_empty_folders_are_refused(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(BadInputError, match="not a folder"):
        read(tmp_path / "none")
    with pytest.raises(BadInputError, match="no clips"):
        read(tmp_path)


def test_the_identity_covers_labels_and_the_sounds_beside(tmp_path: Path) -> None:
    root = touch(tmp_path, "W014/video/front/neutral/level_1/003.mp4")
    silent = read_mead(root).manifest.artifact_id
    sound = touch(root, "W014/audio/neutral/level_1/003.m4a") / "W014/audio/neutral/level_1/003.m4a"
    one = read_mead(root).manifest.artifact_id
    sound.write_bytes(b"longer than before, by far and away, so that it is another file")
    assert len({silent, one, read_mead(root).manifest.artifact_id, read_mead(root, ["W014"]).manifest.artifact_id}) == 4
