"""A result replaces an earlier result, and nothing else that is there."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.clips import ONE, write_clip

from stages.common.errors import BadInputError, ConfigError, ResumeConflictError
from stages.common.manifest import write_atomically
from stages.common.outputs import fitting, free_names, is_ours, may_replace, require_free
from stages.common.provenance import write_provenance
from stages.common.video import VideoReader
from stages.common.video_writer import VideoWriter
from stages.common.writable import same_file

RECORD = {"tool": "facediff", "stage": "edit"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("source.png")
    return tmp_path


def nothing(_path):
    return ()


def picture(name, record=None):
    path = Path(name)
    Image.new("RGB", (8, 8)).save(path)
    if record:
        write_provenance(path, record)
    return path


def free(*names, sources=("source.png",), beside=nothing):
    return [str(path) for path in free_names([Path(n) for n in names], [Path(s) for s in sources], beside)]


def test_all_ways_to_a_source_are_the_source(here):
    Path("folder").mkdir()
    Path("link").symlink_to("folder")
    Path("folder/a.png").write_bytes(b"x")
    os.link("folder/a.png", "hard.png")
    Path("soft.png").symlink_to("folder/a.png")
    for way in ("folder/../folder/a.png", "link/a.png", "hard.png", "soft.png", str(here / "folder" / "a.png")):
        assert same_file(Path(way), Path("folder/a.png"))
        with pytest.raises(ConfigError, match="over a source"):
            require_free(Path(way), [Path("folder/a.png")])
        assert free(way, sources=["folder/a.png"]) == [f"{way.removesuffix('.png')}-2.png"]
    assert same_file(Path("link/new.png"), Path("folder/new.png"))
    assert not same_file(Path("folder/new.png"), Path("folder/a.png"))


def test_what_facediff_did_not_write_stays(here):
    picture("a.png")
    picture("b.png", RECORD)
    picture("c.png", {"tool": "another"})
    Path("d.png").write_bytes(b"not a picture")
    Path("e.png").mkdir()
    Path("f.png").symlink_to("nowhere")
    assert free("a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "g.png") == [
        "a-2.png", "b.png", "c-2.png", "d-2.png", "e-2.png", "f-2.png", "g.png",
    ]  # fmt: skip
    assert free("a.png", "a.png", "a.png") == ["a-2.png", "a-3.png", "a-4.png"]
    require_free(Path("b.png"), [])
    for foreign in ("a.png", "c.png", "d.png"):
        with pytest.raises(ResumeConflictError, match="facediff did not write it"):
            require_free(Path(foreign), [])


def test_videos_and_sidecars_count_too(here):
    clip = write_clip(here / "a.mp4", [ONE] * 2)
    with VideoReader(clip) as reader, VideoWriter(here / "b.mp4", reader.info, RECORD, 30) as writer:
        for frame in reader.frames():
            writer.write(frame, frame.stored_HWC)
    (here / "b.mp4.json").write_text('{"tool": "facediff"}')
    (here / "c.json").write_text("[1]")
    assert [is_ours(here / name) for name in ("a.mp4", "b.mp4", "b.mp4.json", "c.json")] == [False, True, True, False]
    assert may_replace(here / "none.mp4")
    with pytest.raises(BadInputError, match="over its own source"), VideoReader(clip) as reader:
        VideoWriter(clip, reader.info, RECORD, 30)


def test_what_is_written_beside_a_result_is_free_as_well(here):
    Path("a.png.json").write_text("{}")
    assert free("a.png", beside=lambda path: [path.with_name(path.name + ".json")]) == ["a-2.png"]
    with pytest.raises(ResumeConflictError, match=r"a\.png\.json"):
        require_free(Path("a.png"), [], [Path("a.png.json")])


@pytest.mark.skipif(sys.platform == "win32", reason="shorter names there")
@pytest.mark.parametrize("letter", ["a", "é", "顔"])
def test_the_longest_names_work(here, letter):
    stem = letter * (250 // len(letter.encode()))
    wanted = Path(f"{stem}-happy.png")
    (path,) = free_names([wanted], [], nothing)
    assert path.name.endswith(f"{letter}-happy.png")
    beside = path.with_name(f"{path.stem}-12-way-back.png.json")
    for each in (path, beside):
        write_atomically(each, b"x")
        assert each.read_bytes() == b"x"
    assert fitting(Path("short.png")) == Path("short.png")


def test_a_write_that_fails_leaves_nothing(here, monkeypatch):
    def fail(_number):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(here / "x.json", b"x")
    assert sorted(path.name for path in here.iterdir()) == ["source.png"]
