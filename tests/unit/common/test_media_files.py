"""Folders as people have them: hidden twins, links, copies of systems, and our own files that are not complete."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facediff_cli.signals import handled
from stages.align.sources import read_folder
from stages.clips.sources import read_videos
from stages.common.folders import list_pictures
from stages.common.media_files import PHOTO_SUFFIXES, VIDEO_SUFFIXES, MediaFolder, list_media
from stages.common.writable import temporary_path
from stages.edit.inputs import find_sources


@pytest.fixture
def root(tmp_path):
    for name in (
        "a.jpg",
        "B.JFIF",
        "deep/c.heic",
        "deep/._c.heic",
        ".hidden.png",
        ".thumbnails/d.png",
        "__MACOSX/deep/e.jpg",
        "x/.ipynb_checkpoints/f-checkpoint.png",
        "notes.txt",
        "clip.MTS",
        "out/a-happy.jpg",
        "out/notes.txt",
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    temporary_path(tmp_path / "in" / "a-happy.mp4", "-7.mp4").touch()
    return tmp_path / "in"


def names(root, paths):
    return [Path(path).relative_to(root).as_posix() for path in paths]


def test_only_what_is_meant_for_people_is_listed_and_the_rest_is_counted(root):
    folder = MediaFolder(root, PHOTO_SUFFIXES, without=[root / "out"])
    assert names(root, folder.files()) == ["B.JFIF", "a.jpg", "deep/c.heic"]
    assert folder.skipped == {"hidden": 5, "in __MACOSX": 1, "of another kind": 2, "in the output folder": 1}
    assert folder.note == (f"{root}: skipped 5 hidden, 1 in __MACOSX, 1 in the output folder, 2 of another kind")
    assert names(root, MediaFolder(root, VIDEO_SUFFIXES).files()) == ["clip.MTS"]


def test_all_who_read_folders_agree(root):
    said = []
    expected = ["B.JFIF", "a.jpg", "deep/c.heic", "out/a-happy.jpg"]
    assert [sample.source_path for sample in read_folder(root, note=said.append).samples] == expected
    assert list(list_pictures(root).values()) == expected
    assert [clip.source_path for clip in read_videos(root, note=said.append).clips] == ["clip.MTS"]
    found = find_sources([root], root / "out", said.append)
    assert [source.name.as_posix() for source in found] == ["B.JFIF", "a.jpg", "clip.MTS", "deep/c.heic"]
    assert len(said) == 3
    assert "5 hidden" in said[0]


def test_results_in_the_folder_itself_are_no_sources(root):
    samples = read_folder(root, without=[root / "out"]).samples
    assert "out/a-happy.jpg" not in [sample.source_path for sample in samples]


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "in" / "real").mkdir(parents=True)
    (tmp_path / "else" / "more").mkdir(parents=True)
    (tmp_path / "in" / "real" / "a.jpg").touch()
    (tmp_path / "else" / "more" / "b.jpg").touch()
    for link, to in (("a-link", "in/real"), ("out", "else"), ("out2", "else/more"), ("round", "in")):
        (tmp_path / "in" / link).symlink_to(tmp_path / to)
    (tmp_path / "else" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "broken.jpg").symlink_to("nowhere")
    found = names(tmp_path / "in", list_media(tmp_path / "in", PHOTO_SUFFIXES, print))
    assert found == ["out/more/b.jpg", "real/a.jpg"]


def test_patterns_leave_hidden_files_out(root, monkeypatch):
    monkeypatch.chdir(root)
    assert [source.path.name for source in find_sources([Path("**/*.heic")], None)] == ["c.heic"]
    assert [source.path.name for source in find_sources([Path(".*.png")], None)] == [".hidden.png"]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_to_stop_removes_what_is_half_written(tmp_path, name):
    program = (
        "import sys, time, pathlib, typer; from facediff_cli import main as cli\n"
        "from stages.common.writable import temporary_path\n"
        "@cli.app.command('wait')\n"
        "def wait():\n"
        "    path = temporary_path(pathlib.Path('a.mp4'))\n"
        "    try:\n"
        "        path.touch(); time.sleep(60)\n"
        "    finally:\n"
        "        path.unlink()\n"
        "sys.exit(cli.main(['wait']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=30)
    assert (process.returncode, list(tmp_path.iterdir())) == (130, [])
    assert b"interrupted" in said


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled(lambda _number, _frame: None):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
