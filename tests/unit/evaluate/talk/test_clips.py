"""Clips of any system: how they are read, named, paired, and refused."""

import numpy as np
import pytest
from support.grey_mouths import FRAMES, NOBODY, draw_levels, opening_of, write_talk

from stages.common.errors import BadInputError
from stages.common.face.clip_tracker import TrackingConfig
from stages.common.manifest import ArtifactKind
from stages.evaluate.talk.clips import FolderClips, list_videos, pair_clips, read_clips
from stages.evaluate.talk.mouth import mouth_opening


class Named:
    """A clip set of names alone."""

    def __init__(self, *keys, short=True):
        self.keys = keys
        self._short = short

    def aliases(self, key):
        return (key, key.rsplit("/", 1)[-1]) if self._short else (key,)


def open_folder(root):
    return FolderClips(root, 25, TrackingConfig(several="largest", smoothing_s=0), "dlib")


def test_a_folder_gives_pictures_landmarks_sound_and_text(real):
    clips = open_folder(real)
    assert clips.keys == ("a", "b", "c")
    clip = clips.read("b", sound=True)
    assert clip.frames.shape == (FRAMES, 128, 128, 3)
    assert clip.samples.shape == (FRAMES * 640,)
    expected = [opening_of(level) for level in draw_levels(1)]
    np.testing.assert_allclose(mouth_opening(clip.landmarks), expected, atol=0.01)
    assert clips.text("b") == "set white in z nine soon"
    assert clips.read("b").samples.size == 0


def test_the_content_of_a_clip_decides_what_is_kept(real, tmp_path):
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "x.mp4").write_bytes((real / "a.mp4").read_bytes())
    assert open_folder(tmp_path / "moved").content("x") == open_folder(real).content("a")
    assert open_folder(real).content("a") != open_folder(real).content("b")
    other = FolderClips(real, 30, TrackingConfig(), "dlib")
    assert other.content("a") != open_folder(real).content("a")


def test_no_face_and_no_sound_are_reasons(tmp_path):
    write_talk(tmp_path / "nobody.mp4", [NOBODY] * 20)
    write_talk(tmp_path / "mute.mp4", draw_levels(0), sound=False)
    clips = open_folder(tmp_path)
    for key, reason in (("nobody", "no face"), ("mute", "no sound")):
        with pytest.raises(BadInputError) as caught:
            clips.read(key, sound=True)
        assert caught.value.reason == reason


def test_folders_that_cannot_be_used(tmp_path, real):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="holds no videos"):
        read_clips(tmp_path / "empty")
    with pytest.raises(BadInputError, match="is not a folder"):
        read_clips(tmp_path / "absent")
    for ending in ("mp4", "mkv"):
        (tmp_path / "empty" / f"a.{ending}").write_bytes(b"")
    with pytest.raises(BadInputError, match=r"both a.mkv and a.mp4"):
        list_videos(tmp_path / "empty")


def test_videos_and_transcripts_decide_what_a_folder_is(real, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in real.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    first = read_clips(real)
    assert first.manifest.kind is ArtifactKind.SOURCE
    assert read_clips(copy).manifest.artifact_id == first.manifest.artifact_id
    (copy / "a.txt").write_text("something else")
    assert read_clips(copy).manifest.artifact_id != first.manifest.artifact_id


def test_clips_are_paired_by_name_or_by_its_last_part():
    wanted = Named("s1/a", "s1/b")
    assert pair_clips("x", wanted, wanted.keys, Named("s1/a", "s1/b")) == {"s1/a": "s1/a", "s1/b": "s1/b"}
    assert pair_clips("x", wanted, wanted.keys, Named("b", "a")) == {"s1/a": "a", "s1/b": "b"}
    assert pair_clips("x", wanted, ("s1/b",), Named("b", "a")) == {"s1/b": "b"}


def test_unmatched_names_are_counted_and_named():
    wanted = Named("a", "b", "c")
    with pytest.raises(BadInputError, match=r"x: 2 of 3 clips are not there \(a, c\); 1 clip.* no counterpart \(d\)"):
        pair_clips("x", wanted, wanted.keys, Named("b", "d"))
    ambiguous = Named("s1/a", "s2/a")
    with pytest.raises(BadInputError, match="2 of 2 clips are not there"):
        pair_clips("x", ambiguous, ambiguous.keys, Named("a", short=False))
