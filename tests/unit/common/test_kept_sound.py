"""The sound of a video is kept in every container: copied, or else encoded again, with a note."""

import av
import numpy as np
import pytest
from support.clips import ONE, read_packets, write_clip
from support.videos import run_ffmpeg

from stages.common.media.sound import read_sound
from stages.common.video import VideoReader
from stages.common.video_writer import VideoWriter

TONE_HZ = 440


def tone(seconds=2, hz=TONE_HZ):
    return ["-f", "lavfi", "-i", f"sine=frequency={hz}:duration={seconds}:sample_rate=48000"]


def with_sound(tmp_path, name, *options, video="mpeg4"):
    clip = write_clip(tmp_path / "silent.mp4", [ONE] * 50)
    path = tmp_path / name
    run_ffmpeg("-i", clip, *tone(), "-c:v", video, *options, "-shortest", path)
    return path


def rewritten(source, target):
    """The same pictures with the sound of ``source``; returns the notes."""
    with VideoReader(source) as reader, VideoWriter(target, reader.info, {}, 30) as writer:
        for frame in reader.frames():
            writer.write(frame, frame.stored_HWC)
        return list(writer.notes)


def pitch_hz(path):
    sound = read_sound(path, 10)
    spectrum = np.abs(np.fft.rfft(sound.samples))
    return spectrum.argmax() * sound.rate_hz / len(sound.samples)


@pytest.mark.parametrize(
    ("name", "options", "target", "codec"),
    [
        ("a.wmv", ["-c:a", "wmav2"], "b.mkv", "wmav2"),
        ("a.avi", ["-c:a", "adpcm_ms"], "b.mkv", "adpcm_ms"),
        ("a.mov", ["-c:a", "pcm_alaw", "-ar", "8000"], "b.mp4", "pcm_alaw"),
        ("a.flv", ["-c:a", "nellymoser", "-ar", "22050"], "b.mkv", "nellymoser"),
        ("a.3gp", ["-c:a", "libopencore_amrnb", "-ar", "8000"], "b.mkv", "amrnb"),
        ("a.mkv", ["-c:a", "aac"], "b.webm", "aac"),
    ],
)
def test_what_the_container_does_not_take_is_encoded_again(tmp_path, name, options, target, codec):
    video = {"a.wmv": "wmv2", "a.flv": "flv1"}.get(name, "mpeg4")
    source = with_sound(tmp_path, name, *options, video=video)
    (note,) = rewritten(source, tmp_path / target)
    assert note == f"sound track 1 ({codec}) was encoded again as {'opus' if target == 'b.webm' else 'aac'}"
    assert abs(pitch_hz(tmp_path / target) - TONE_HZ) < 3
    assert abs(float(read_sound(tmp_path / target, 10).end_s) - 2) < 0.15


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "libmp3lame"), ("a.mts", "ac3"), ("a.mov", "pcm_s16le")]
)
def test_all_else_is_copied(tmp_path, name, codec):
    source = with_sound(tmp_path, name, "-c:a", codec)
    target = tmp_path / f"b{'.mkv' if name == 'a.mts' else source.suffix}"
    assert rewritten(source, target) == []
    assert read_packets(target) == read_packets(source) != b""


def test_all_tracks_are_kept_with_what_they_say_of_themselves(tmp_path):
    clip = write_clip(tmp_path / "silent.mp4", [ONE] * 50)
    source = tmp_path / "a.mkv"
    tags = [
        option
        for n, (language, title) in enumerate([("eng", "Film"), ("deu", "Ton"), ("fra", "Avis")])
        for option in (f"-metadata:s:a:{n}", f"language={language}", f"-metadata:s:a:{n}", f"title={title}")
    ]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:a"]
    run_ffmpeg(
        "-i", clip, *tone(), *tone(hz=880), *tone(hz=220), *maps, "-c:v", "copy", "-c:a:0", "aac", "-c:a:1", "wmav2",
        "-c:a:2", "aac", *tags, "-disposition:a", "0", "-disposition:a:1", "default", "-disposition:a:2", "comment",
        source,
    )  # fmt: skip
    assert rewritten(source, tmp_path / "b.mkv") == ["sound track 2 (wmav2) was encoded again as aac"]
    with av.open(str(source)) as before, av.open(str(tmp_path / "b.mkv")) as after:
        described = [
            [(s.metadata["language"], s.metadata["title"], s.disposition) for s in file.streams.audio]
            for file in (before, after)
        ]
    assert described[0] == described[1]
    assert [words[:2] for words in described[1]] == [("eng", "Film"), ("deu", "Ton"), ("fra", "Avis")]


def test_surround_sound_that_is_encoded_again_stays_surround(tmp_path):
    source = with_sound(tmp_path, "a.avi", "-c:a", "pcm_s16le", "-ac", "6")
    rewritten(source, tmp_path / "b.webm")
    with av.open(str(tmp_path / "b.webm")) as written:
        assert written.streams.audio[0].codec_context.channels == 6


def test_sound_that_changes_its_rate_on_the_way_is_resampled(tmp_path):
    parts = []
    for rate_hz, hz in ((48000, 440), (22050, 440)):
        part = tmp_path / f"{rate_hz}.ts"
        clip = write_clip(tmp_path / "silent.mp4", [ONE] * 50)
        run_ffmpeg("-i", clip, *tone(hz=hz), "-c:v", "copy", "-c:a", "aac", "-ar", rate_hz, "-shortest", part)
        parts.append(part)
    source = tmp_path / "a.ts"
    later = ["-itsoffset", "2", "-i", parts[1]]
    run_ffmpeg(*later, "-c", "copy", "-copyts", tmp_path / "later.ts")
    source.write_bytes(parts[0].read_bytes() + (tmp_path / "later.ts").read_bytes())
    (note,) = rewritten(source, tmp_path / "b.mkv")
    assert "encoded again as aac" in note
    sound = read_sound(tmp_path / "b.mkv", 10)
    for start_s in (0.5, 2.6):
        piece = sound.samples[round(start_s * sound.rate_hz) : round((start_s + 1) * sound.rate_hz)]
        assert abs(np.abs(np.fft.rfft(piece)).argmax() - TONE_HZ) < 4


def test_a_track_that_cannot_be_read_is_left_out(tmp_path):
    source = tmp_path / "a.mp4"
    clip = write_clip(tmp_path / "silent.mp4", [ONE] * 50)
    run_ffmpeg("-i", clip, *tone(), *tone(hz=880), "-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "copy", source)
    # As in films of recent phones, of which one track is Apple's own kind of spatial sound.
    source.write_bytes(source.read_bytes().replace(b"mp4a", b"apac", 1).replace(b"esds", b"zsds", 1))
    assert rewritten(source, tmp_path / "b.mp4") == ["sound track 1 is of a kind that cannot be read, and is left out"]
    assert abs(pitch_hz(tmp_path / "b.mp4") - 880) < 3
    assert abs(pitch_hz(source) - 880) < 3
