"""All sound of a video beside its new pictures: copied where the container takes it, else encoded again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.audio.frame import AudioFrame

from stages.common.media.container import decodable, decode_whole, open_container
from stages.common.sound_track import EncodedSound, SoundTrack, describe_track

_WITHOUT_ONE_HEADER = frozenset({"mpegts", "mpeg", "flv", "avi", "ogg"})
"""Containers in which rate and layout of a track may change on the way."""


class KeptSound:
    """The sound tracks of a file with their languages, titles and dispositions; time 0 is ``start_s`` of the file.

    ``notes`` say which were encoded again, and which could not be read and are left out.
    """

    def __init__(self, path: Path, start_s: Fraction, target: Any, suffix: str) -> None:
        self.notes: list[str] = []
        self._tracks: list[SoundTrack] = []
        try:
            with open_container(path) as container:
                for number, stream in enumerate(container.streams.audio):
                    if decodable([stream]):
                        self._tracks.append(self._keep(path, start_s, target, suffix, number))
                    else:
                        self.notes.append(f"sound track {number + 1} is of a kind that cannot be read, and is left out")
        except BaseException:
            self.close()
            raise

    def _keep(self, path: Path, start_s: Fraction, target: Any, suffix: str, number: int) -> SoundTrack:
        if _is_steady(path, number):
            try:
                return CopiedTrack(path, start_s, target, number)
            except ValueError:  # PyAV's answer where the container does not take it
                pass
        track = EncodedSound(path, target, suffix, number=number, surround=True)
        self.notes.append(f"sound track {number + 1} ({track.source_codec}) was encoded again as {track.codec}")
        return track

    def mux_until(self, time_s: Fraction | None) -> None:
        for track in self._tracks:
            track.mux_until(time_s)

    def close(self) -> None:
        for track in self._tracks:
            track.close()


def _is_steady(path: Path, number: int) -> bool:
    """Whether a track has the same rate and layout throughout, so that one header describes it."""
    with open_container(path) as container:
        if not _WITHOUT_ONE_HEADER & set(container.format.name.split(",")):
            return True
        kinds = set()
        for frame in decode_whole(container, container.streams.audio[number], AudioFrame, [0]):
            kinds.add((frame.sample_rate, frame.layout.name))
            if len(kinds) > 1:
                return False
    return True


class CopiedTrack:
    """One sound track, packet by packet as it is. Raises ``ValueError`` where the container does not take its codec."""

    notes: Sequence[str] = ()

    def __init__(self, path: Path, start_s: Fraction, target: Any, number: int) -> None:
        self._source, self._target, self._start_s = open_container(path), target, start_s
        stream = self._source.streams.audio[number]
        try:
            self._copy = target.add_stream_from_template(stream)
        except BaseException:
            self._source.close()
            raise
        describe_track(self._copy, stream)
        self._packets: Iterator[Any] = self._source.demux(stream)
        self._next: Any = None

    def mux_until(self, time_s: Fraction | None) -> None:
        while (packet := self._next or self._read()) is not None:
            self._next = packet
            if time_s is not None and packet.dts * packet.time_base > time_s:
                return
            packet.stream = self._copy
            self._target.mux_one(packet)
            self._next = None

    def _read(self) -> Any:
        for packet in self._packets:
            if packet.dts is None:  # the empty packet at the end
                continue
            offset = round(self._start_s / packet.time_base)
            packet.dts -= offset
            packet.pts = None if packet.pts is None else packet.pts - offset
            return packet
        return None

    def close(self) -> None:
        self._source.close()
