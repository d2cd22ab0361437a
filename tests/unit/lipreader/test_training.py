"""The lip reader's training on tiny clips: what a step reads, its loss, what it writes, and reading with it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.talking import make_clips
from support.tiny_model import tiny_config

from stages.common.clips import ClipDataset
from stages.common.engine import execute
from stages.common.errors import BadInputError, Interrupted, MissingModelError
from stages.common.lip_reader_checkpoint import load_lip_reader
from stages.common.lip_reading import LipReaderExpert, find_lip_reader
from stages.common.manifest import find_problems
from stages.lipreader import run as stage
from stages.lipreader.batches import IGNORED, Spoken, centre, draw_clip, join_spans
from stages.lipreader.run import LIPREADER
from stages.lipreader.trainer import LipReaderTrainer


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return make_clips(tmp_path_factory.mktemp("lips") / "clips")


@pytest.fixture(scope="module")
def trained(clips):
    return execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, clips.root.parent / "reader")


@pytest.fixture
def trainer(clips, tmp_path, monkeypatch):
    """The trainer that a run makes, before its first step."""
    made = []
    monkeypatch.setattr(stage, "fit", lambda trainee, *_: made.append(trainee) or {})
    execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, tmp_path / "out")
    return made[0]


def fake_data(frames=50, text="ab"):
    """One clip of bright mouths, 96 px a side."""
    facts = {"text": text, "words": [], "fps": 25.0}
    return SimpleNamespace(facts=[facts], mouths=lambda _: np.full((frames, 96, 96), 200, np.uint8))


def test_a_run_writes_a_reader_of_the_characters_of_its_texts(trained):
    assert find_problems(trained) == []
    assert load_lip_reader(trained.root).config.units == tuple("beilnu\u2581")
    assert trained.manifest.counts.ok == 3
    assert {"val_wer", "val_cer"} <= trained.manifest.metrics.keys()


def test_stopped_and_resumed_it_is_the_same_reader(clips, trained, tmp_path):
    left = iter([False] * 7)  # after the five clips come two steps
    with pytest.raises(Interrupted):
        execute(
            LIPREADER,
            tiny_config(LIPREADER),
            {"data": clips},
            tmp_path / "out",
            should_stop=lambda: next(left, True),
        )
    resumed = execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, tmp_path / "out")
    assert resumed.manifest.artifact_id == trained.manifest.artifact_id


def test_the_loss_falls_on_clips_that_it_sees_again_and_again(trainer):
    random = torch.Generator().manual_seed(0)
    losses = [trainer.train_step(step, 3e-3, random)["attention"] for step in range(30)]
    assert losses[-1] < 0.85 * losses[0]


def test_the_loss_is_by_unit_and_takes_clips_alike(trainer):
    mouths = np.random.default_rng(0).integers(0, 255, (12, 88, 88), np.uint8)
    one, two = [Spoken(mouths, [1, 2], 1 / 2)], [Spoken(mouths[:6], [3], 1 / 4), Spoken(mouths[6:], [1, 2, 3], 1 / 4)]
    trainer.model.eval()
    with torch.no_grad():
        together, alone = trainer._loss([one, two])[1], [trainer._loss([clip])[1] for clip in (one, two)]
        batch = join_spans(one)
        ctc, following = trainer.model(
            (batch.mouths / 255 - 0.421) / 0.165, batch.lengths, torch.tensor([[trainer.model.config.edge, 1, 2]])
        )
    for name in ("loss", "ctc", "attention"):
        assert float(together[name]) == pytest.approx((float(alone[0][name]) + float(alone[1][name])) / 2, rel=1e-4)
    paths = ctc[0].log_softmax(-1)
    expected = F.ctc_loss(paths[:, None], torch.tensor([[1, 2]]), (12,), (2,), reduction="sum") / 2
    assert float(alone[0]["ctc"]) == pytest.approx(float(expected), rel=1e-4)
    edge = trainer.model.config.edge
    said = F.cross_entropy(following[0], torch.tensor([1, 2, edge]), label_smoothing=0.1, reduction="sum") / 2
    assert float(alone[0]["attention"]) == pytest.approx(float(said), rel=1e-4)


def test_texts_and_pictures_end_where_a_span_ends():
    batch = join_spans(
        [Spoken(np.full((2, 88, 88), 7, np.uint8), [1], 1.0), Spoken(np.ones((3, 88, 88), np.uint8), [2, 3], 0.5)]
    )
    assert batch.lengths.tolist() == [2, 3]
    assert batch.mouths[0].amax((1, 2)).tolist() == [7, 7, 0]
    assert batch.texts.tolist() == [[1, IGNORED], [2, 3]]


def test_frames_are_blackened_only_as_far_as_asked():
    def seen(mask_s, seed):
        config = tiny_config(LIPREADER, f"mask_s={mask_s}", "shift_px=4")
        random = np.random.default_rng(seed)
        (span,) = draw_clip(fake_data(), 0, ("a", "b"), config, words=None, random=random)
        assert span.mouths.shape == (50, 88, 88)
        return (span.mouths == 0).all((1, 2)).mean()

    assert seen(0.0, 0) == 0
    shares = [seen(0.4, seed) for seed in range(20)]
    assert np.mean(shares) > 0
    assert max(shares) <= 0.4


def test_the_middle_of_a_larger_crop_is_what_is_read():
    mouths = np.arange(96 * 96).reshape(1, 96, 96)
    assert (centre(mouths) == mouths[:, 4:92, 4:92]).all()


def test_clips_without_text_are_refused(tmp_path, monkeypatch, clips):
    facts = ClipDataset.facts
    monkeypatch.setattr(ClipDataset, "facts", lambda self, index: facts(self, index) | {"text": None})
    with pytest.raises(BadInputError, match="no clip of the split 'train' has a text"):
        execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, tmp_path / "out")


def test_a_reader_reads_the_same_however_it_is_opened(trained, clips):
    data = ClipDataset(clips, "test")
    expert = LipReaderExpert.open(find_lip_reader(str(trained.root)))
    frames, landmarks = data.frames(0), data.landmarks(0)
    assert expert.features(frames, landmarks).shape == (5, 8)
    assert expert.read(frames, landmarks) == expert.read(frames, landmarks)
    assert set(expert.read(frames, landmarks)) <= set("beilnu ")


def test_another_kind_of_model_cannot_read(clips):
    with pytest.raises(MissingModelError, match="clips"):
        find_lip_reader(str(clips.root))


def test_a_trainer_is_a_trainee(trainer):
    assert isinstance(trainer, LipReaderTrainer)
    state = trainer.state_dict()
    trainer.train_step(0, 1e-2, torch.Generator().manual_seed(0))
    trainer.load_state_dict(state)
    assert trainer.samples(0).count("train_") == 2
