"""What a talker learns from: which frames go together, and what is known of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.talking import FRAMES, make_clips

from stages.common.clip_frames import ClipFrames, open_pictures
from stages.common.clips import ClipDataset
from stages.common.errors import BadInputError, Interrupted
from stages.common.manifest import Artifact
from stages.common.stage import RunContext
from stages.common.tensors import to_model_range
from stages.common.training.config import LoopConfig
from stages.common.training.stepper import Stepper
from stages.models.first_stage import FirstStage, FirstStageConfig, build_first_stage
from stages.models.mouth_mask import mask_below, mask_top
from stages.models.talker import TalkerConfig
from stages.talk_training.data import TalkData, mean_pause
from stages.talk_training.latents import FrameLatents, open_frame_latents

RANDOM = np.random.default_rng(0)
LISTENING = TalkerConfig(audio="mel", window=2)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_clips(tmp_path_factory.mktemp("clips") / "clips")


@pytest.fixture(scope="module")
def first_stage() -> FirstStage:
    torch.manual_seed(0)
    config = FirstStageConfig(
        size_px=32, pixel_fold=2, block_out_channels=(8, 16), layers_per_block=1, attention=False, norm_num_groups=4
    )
    return build_first_stage(config).eval().requires_grad_(False)


def encode(first_stage: FirstStage, data: ClipDataset, context: RunContext, stride: int = 1) -> FrameLatents:
    stepper = Stepper(LoopConfig(steps=1, batch_size=1, learning_rate=1), context)
    numbers = [np.arange(0, length, stride) for length in data.lengths]
    return open_frame_latents(first_stage, data, numbers, "train", stepper=stepper, context=context)


def open_data(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path, reach: tuple[int, int] = (1, 60), stride: int = 1
) -> TalkData:
    data, context = ClipDataset(clips, "train"), RunContext(tmp_path)
    numbers = [np.arange(0, length, stride) for length in data.lengths]
    latents = encode(first_stage, data, context, stride)
    return TalkData(data, numbers, latents, LISTENING, reach, size_px=32, context=context)


def test_frames_of_clips_are_pictures_with_the_labels_of_their_clips(clips: Artifact) -> None:
    frames, data = open_pictures(clips, "train"), ClipDataset(clips, "train")
    assert isinstance(frames, ClipFrames)
    assert len(frames) == len(frames.keys) == len(frames.labels) == 3 * FRAMES
    assert frames.labels.tolist() == np.repeat(data.labels, FRAMES).tolist()
    assert np.array_equal(frames.batch([FRAMES + 2, 0]), [data.frames(1)[2], data.frames(0)[0]])
    assert frames.keys[FRAMES + 2] == f"{data.keys[1]}/2"


def test_latents_are_of_the_frames_and_of_the_masked_frames(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path
) -> None:
    data = ClipDataset(clips, "train")
    latents = encode(first_stage, data, RunContext(tmp_path), stride=2)
    assert (len(latents), latents.shape) == (9, (3, 8, 8))
    x = to_model_range(data.frames(1, [2, 4]))
    tops = torch.from_numpy(mask_top(data.landmarks(1))[[2, 4]])
    rows = np.array([4, 5])
    torch.testing.assert_close(latents.whole(rows), first_stage.encode(x), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(latents.masked(rows), first_stage.encode(mask_below(x, tops)), rtol=1e-2, atol=1e-2)
    assert (latents.whole(rows) - latents.masked(rows)).abs().max() > 0.1


def test_latents_are_encoded_once(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ClipDataset(clips, "train")
    first = encode(first_stage, data, RunContext(tmp_path))
    monkeypatch.setattr(FirstStage, "encode", None)
    again = encode(first_stage, data, RunContext(tmp_path))
    assert torch.equal(first.whole(np.arange(15)), again.whole(np.arange(15)))


def test_encoding_that_is_stopped_says_so_and_begins_again(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path
) -> None:
    data = ClipDataset(clips, "train")
    with pytest.raises(Interrupted, match="while encoding latents"):
        encode(first_stage, data, RunContext(tmp_path, should_stop=lambda: True))
    assert len(encode(first_stage, data, RunContext(tmp_path))) == 15


@pytest.mark.parametrize(
    ("reach", "row", "expected"),
    [
        ((1, 60), 5, {6, 7, 8, 9}),
        ((1, 2), 5, {6, 7}),
        ((1, 60), 9, {8}),  # the last frame of a clip has none after it
        ((-2, 2), 7, {5, 6, 8, 9}),
        ((-60, -1), 7, {5, 6}),
    ],
)
def test_identity_frames_are_others_of_the_same_clip_within_reach(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path, reach: tuple[int, int], row: int, expected: set[int]
) -> None:
    data = open_data(first_stage, clips, tmp_path, reach)
    drawn = data.identities(np.full(60, row), RANDOM)
    assert set(drawn.tolist()) == expected


def test_reach_is_counted_in_frames_of_the_clip_not_in_those_taken(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path
) -> None:
    data = open_data(first_stage, clips, tmp_path, (1, 2), stride=2)
    assert data.numbers.tolist() == [0, 2, 4] * 3
    assert set(data.identities(np.full(30, 3), RANDOM).tolist()) == {4}


def test_a_batch_holds_what_is_known_of_its_frames(first_stage: FirstStage, clips: Artifact, tmp_path: Path) -> None:
    data, source = open_data(first_stage, clips, tmp_path), ClipDataset(clips, "train")
    rows = np.array([0, FRAMES + 2, 2 * FRAMES])
    draws = data.batch(rows, RANDOM)
    assert torch.equal(draws["z0"], data.latents.whole(rows))
    assert torch.equal(draws["masked"], data.latents.masked(rows))
    assert draws["labels"].tolist() == [1, 8, 1]
    points = source.landmarks(1)[2]
    torch.testing.assert_close(draws["landmarks"][1], torch.from_numpy(points / 16 - 1))
    assert draws["tops"][1] == float(mask_top(points))


def test_windows_of_sound_stay_in_their_clip(first_stage: FirstStage, clips: Artifact, tmp_path: Path) -> None:
    data = open_data(first_stage, clips, tmp_path, stride=2)
    first, last = data.windows(np.array([3, 5]))  # frames 0 and 4 of the second clip
    middle = data.windows(np.array([4]))[0]
    assert torch.equal(middle[0], first[2])
    assert torch.equal(middle[4], last[2])
    assert torch.equal(first[0], first[2])
    assert torch.equal(last[4], last[2])
    assert not torch.equal(first[2], first[3])


def test_clips_of_different_rates_are_bad_input(tmp_path: Path) -> None:
    clips = make_clips(tmp_path / "clips", other_fps=30)
    with pytest.raises(BadInputError, match=r"\[25.0, 30.0\] frames a second"):
        _ = ClipDataset(clips, "train").fps


def test_shapes_of_lips_are_about_their_centre_and_of_frames_whose_sound_is_given(
    first_stage: FirstStage, clips: Artifact, tmp_path: Path
) -> None:
    data, source = open_data(first_stage, clips, tmp_path, stride=4), ClipDataset(clips, "train")
    drawn = data.lips((2, 30), np.random.default_rng(0))
    assert drawn["lip_audio"].shape == (2, 30, 5, 80)
    assert drawn["lips"].shape == (2, 30, 40)
    shapes = drawn["lips"].view(60, 20, 2)
    torch.testing.assert_close(shapes.mean(dim=1), torch.zeros(60, 2), atol=1e-5, rtol=0)
    sound = [data.windows(np.array([row]))[0, 2] for row in range(len(data))]
    heard = drawn["lip_audio"].flatten(0, 1)[:, 2]
    found = 0
    for row, middle in enumerate(sound):
        mouth = source.landmarks(row // 2)[data.numbers[row], 48:]
        expected = torch.from_numpy((mouth - mouth.mean(axis=0)) / 2)
        for i in torch.nonzero((heard == middle).all(dim=1)).flatten():
            torch.testing.assert_close(shapes[i], expected, atol=1e-5, rtol=0)
            found += 1
    assert found > 5


def test_the_mean_pause_is_that_of_frames_between_words() -> None:
    speech, pause = np.full(640 * 10, 0.2, np.float32), np.full(640 * 9, 0.001, np.float32)
    sounds = [np.concatenate([speech, pause, speech]), speech]
    clips = SimpleNamespace(lengths=np.array([29, 10]), sound=lambda clip: sounds[clip])
    rows = np.arange(39, dtype=np.float32)[:, None].repeat(2, axis=1)
    assert mean_pause(clips, rows) == (14, 14)
    assert mean_pause(SimpleNamespace(lengths=np.array([10]), sound=lambda _: speech), rows[:10]) is None
    assert mean_pause(clips, None) is None
