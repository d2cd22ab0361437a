"""Videos: what is edited, what is kept, what is refused, and that memory does not grow."""

import gc
import weakref
from fractions import Fraction

import av
import numpy as np
import pytest
from support.clips import NOBODY, ONE, TWO, CornerDetector, read_packets, write_clip
from support.fake_editor import FakeEditor
from support.videos import run_ffmpeg

import stages.edit.video as module
from stages.common.errors import BadInputError
from stages.common.progress import SilentProgress
from stages.common.video import VideoReader
from stages.common.video_writer import VideoWriter, read_record
from stages.edit.config import EditConfig, make_edit_config
from stages.edit.video import edit_video


def edited(source, target, *settings, editor=None, detector=None, **fields):
    config = make_edit_config(settings, **{"emotion": "happy", "steps": 2, **fields})
    return edit_video(
        source, target, editor or FakeEditor(), detector or CornerDetector(), config, progress=SilentProgress()
    )


def pictures(path):
    with VideoReader(path) as reader:
        return [frame.stored_HWC.astype(int) for frame in reader.frames()]


def changed(before, after, x):
    """Whether the middle of a face at this column was brightened."""
    return [bool(b[62, x].mean() - a[62, x].mean() > 5) for a, b in zip(before, after, strict=True)]


def test_faces_are_edited_and_the_rest_is_passed_through_and_counted(tmp_path):
    clip = write_clip(tmp_path / "ä clip.mp4", [ONE] * 6 + [NOBODY] * 14 + [ONE] * 4)
    result = edited(clip, tmp_path / "ö.mp4")
    assert result.counts.as_json() == {"frames": 24, "edited": 10, "passed_through": {"no face": 14}}
    before, after = pictures(clip), pictures(tmp_path / "ö.mp4")
    assert changed(before, after, 46) == [True] * 6 + [False] * 14 + [True] * 4
    assert not any(changed(before, after, 122))
    assert np.abs(before[10] - after[10]).max() <= 6
    assert [face["frames"] for face in result.provenance["faces"]] == [6, 4]
    record = read_record(tmp_path / "ö.mp4")
    assert record["emotion"] == "happy"
    assert record["source_sha256"] == result.provenance["source_sha256"]


def test_a_short_gap_in_a_track_is_filled(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 5 + [NOBODY] * 3 + [ONE] * 5)
    assert edited(clip, tmp_path / "b.mp4").counts.edited == 13


@pytest.mark.parametrize(("face", "left", "right"), [("largest", 1, 0), ("all", 1, 1), ("1", 1, 0), ("2", 0, 1)])
def test_two_people(tmp_path, face, left, right):
    clip = write_clip(tmp_path / "a.mp4", [TWO] * 5)
    result = edited(clip, tmp_path / "b.mp4", face=face)
    before, after = pictures(clip), pictures(tmp_path / "b.mp4")
    assert changed(before, after, 46) == [bool(left)] * 5
    assert changed(before, after, 122) == [bool(right)] * 5
    assert len(result.provenance["faces"]) == left + right


def test_a_person_who_is_not_there_yet_is_waited_for(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 4 + [TWO] * 4)
    result = edited(clip, tmp_path / "b.mp4", face="2")
    assert result.counts.as_json() == {"frames": 8, "edited": 4, "passed_through": {"no such face": 4}}


def test_a_cut_begins_new_tracks(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 8, backgrounds=[60] * 4 + [200] * 4)
    assert [face["frames"] for face in edited(clip, tmp_path / "b.mp4").provenance["faces"]] == [4, 4]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_times_turn_and_sound_are_kept(tmp_path, suffix):
    times = [0, 4, 8, 20, 21, 40]
    clip = write_clip(tmp_path / f"a{suffix}", [ONE] * 6, times=times, rotation=90, sound=True)
    edited(clip, tmp_path / f"b{suffix}", face="all")
    with VideoReader(clip) as reader, VideoReader(tmp_path / f"b{suffix}") as written:
        before, after = list(reader.frames()), list(written.frames())
        seconds = [frame.pts * written.info.time_base for frame in after]
    assert [round(100 * second) for second in seconds] == times
    assert [frame.turns for frame in after] == [frame.turns for frame in before] == [1] * 6
    assert after[0].upright.shape == (160, 112, 3)
    assert read_packets(tmp_path / f"b{suffix}") == read_packets(clip) != b""


def test_the_expression_of_a_track_is_decided_once(tmp_path):
    editor = FakeEditor(sees="sad")
    result = edited(write_clip(tmp_path / "a.mp4", [ONE] * 20), tmp_path / "b.mp4", editor=editor)
    assert {source for seen in editor.seen for source in seen["sources"]} == {2}
    assert result.provenance["faces"][0]["source"] == "sad"


@pytest.mark.parametrize(
    ("corners", "face", "reason"), [([NOBODY] * 4, "largest", "no face"), ([ONE] * 4, "2", "no such face")]
)
def test_a_video_without_the_face_is_refused_and_nothing_is_written(tmp_path, corners, face, reason):
    clip = write_clip(tmp_path / "a.mp4", corners)
    with pytest.raises(BadInputError, match=f"{reason} found in any of the 4 frames") as caught:
        edited(clip, tmp_path / "b.mp4", face=face)
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(lambda clip: b"", "empty"), (lambda clip: b"no video" * 99, "unsupported"), (lambda clip: clip[:900], None)],
)
def test_files_that_are_no_whole_video(tmp_path, content, reason):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 4).read_bytes()
    (tmp_path / "a.mp4").write_bytes(content(clip))
    with pytest.raises(BadInputError) as caught:
        edited(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert caught.value.reason in {reason or "unsupported", reason or "damaged"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_missing_video(tmp_path):
    with pytest.raises(BadInputError, match="does not exist"):
        edited(tmp_path / "a.mp4", tmp_path / "b.mp4")


def test_what_a_cut_short_video_still_has_is_edited(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", [ONE] * 40)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 2 // 3])
    assert 0 < edited(clip, tmp_path / "b.mkv").counts.edited < 40


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_no_half_file(tmp_path, monkeypatch, error):
    def stop(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(module, "put_back", stop)
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 4)
    with pytest.raises(error):
        edited(clip, tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == [clip]


def test_an_unwritable_place(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 2)
    with pytest.raises(BadInputError) as caught:
        edited(clip, tmp_path / "none" / "b.mp4")
    assert caught.value.reason == "unwritable"


def test_sound_that_the_container_cannot_hold_is_encoded_again_and_said(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 2, sound=True)
    assert edited(clip, tmp_path / "b.webm").notes == ("sound track 1 (aac) was encoded again as opus",)
    with av.open(str(tmp_path / "b.webm")) as written:
        assert [stream.codec_context.name for stream in written.streams.audio] == ["opus"]


def test_a_bounded_number_of_frames_is_held(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), 0

    class Counted(np.ndarray):
        """An array that can be referred to weakly and hashed by identity."""

        __hash__ = object.__hash__

    original = VideoReader.frames

    def counted(self):
        nonlocal most
        for frame in original(self):
            tracked = frame.stored_HWC.view(Counted)
            object.__setattr__(frame, "stored_HWC", tracked)
            alive.add(tracked)
            most = max(most, len(alive))
            yield frame
            del tracked, frame

    monkeypatch.setattr(VideoReader, "frames", counted)
    clip = write_clip(tmp_path / "a.mp4", [ONE, NOBODY] * 45)
    gc.collect()
    assert edited(clip, tmp_path / "b.mp4", "video.smoothing=0").counts.frames == 90
    assert most <= 2 * module._BATCH_FRAMES + 4


def test_odd_sizes_are_kept(tmp_path):
    with VideoReader(write_clip(tmp_path / "a.mp4", [ONE] * 2)) as reader:
        info, frames = reader.info, list(reader.frames())
    object.__setattr__(info, "width_px", 159)
    with VideoWriter(tmp_path / "b.mp4", info, {}, 18) as writer:
        for frame in frames:
            writer.write(frame, frame.stored_HWC[:, :159])
    with VideoReader(tmp_path / "b.mp4") as written:
        assert (written.info.width_px, written.info.rate_hz) == (159, Fraction(25))


def test_memory_of_noise_reaches_the_model_only_where_it_is_asked_for(tmp_path, monkeypatch):
    clip, asked = write_clip(tmp_path / "a.mp4", [ONE] * 2), []
    monkeypatch.setattr(module.SteadyNoise, "_smooth", lambda self, eps, tracks: asked.append(tracks) or eps)
    edited(clip, tmp_path / "b.mp4", "video.memory=0")
    assert asked == []
    edited(clip, tmp_path / "b.mp4")
    assert asked == [[0, 0]]
    assert EditConfig(emotion="happy").video.memory > 0


@pytest.mark.parametrize("name", ["12:30:01.mp4", "a%03d.mp4", "concat:x.mp4", "é" * 120 + ".mp4"])
def test_names_that_mean_something_to_ffmpeg_or_are_long(tmp_path, name):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 3, sound=True).rename(tmp_path / name)
    assert edited(clip, tmp_path / f"x:{name}").counts.edited == 3
    assert len(pictures(tmp_path / f"x:{name}")) == 3


def test_frames_that_an_edit_list_leaves_out_are_not_missing(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 40)
    run_ffmpeg("-ss", "0.52", "-i", clip, "-c", "copy", tmp_path / "cut.mp4")
    run_ffmpeg("-itsoffset", "0.4", "-i", clip, "-c", "copy", tmp_path / "late.mp4")
    for name in ("cut", "late"):
        result = edited(tmp_path / f"{name}.mp4", tmp_path / f"{name}-b.mp4")
        assert result.notes == ()
        assert 25 <= result.counts.frames <= 40


def test_frames_that_are_missing_are_counted(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 60)
    run_ffmpeg("-i", clip, "-c", "copy", "-movflags", "+faststart", tmp_path / "fast.mp4")
    whole = (tmp_path / "fast.mp4").read_bytes()
    media = whole.index(b"mdat")
    (tmp_path / "fast.mp4").write_bytes(whole[: media + (len(whole) - media) // 2])
    (note,) = edited(tmp_path / "fast.mp4", tmp_path / "b.mp4").notes
    assert note.endswith("of 60 frames could be read")
