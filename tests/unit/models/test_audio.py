"""Features of sound for each frame, windows about a frame, and attention over them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from support.speech import tiny_wav2vec

from stages.models.audio import (
    CHANNELS,
    WINDOWS,
    LogMel,
    SpeechFeatures,
    TemporalAttention,
    audio_attention,
    windows,
)

RATE = 16_000


@pytest.mark.parametrize(("samples", "frames"), [(48_000, 75), (16_000, 30), (5_333, 10), (640, 1)])
def test_mel_has_a_row_for_each_frame(samples: int, frames: int) -> None:
    rows = LogMel()(torch.randn(2, samples), frames)
    assert rows.shape == (2, frames, 80)
    assert torch.isfinite(rows).all()


def test_a_click_is_in_the_row_of_its_frame() -> None:
    for frame in (0, 3, 24):
        sound = torch.zeros(1, RATE)
        sound[0, frame * 640 + 320] = 1
        energy = LogMel()(sound, 25)[0].mean(dim=1)
        assert energy.argmax() == frame
        if 0 < frame < 24:
            assert energy[frame - 1] == pytest.approx(float(energy[frame + 1]), abs=0.05)


def test_a_higher_tone_is_in_a_higher_bin_and_silence_is_the_floor() -> None:
    time_s = torch.arange(RATE) / RATE
    tones = torch.stack([torch.sin(2 * math.pi * hertz * time_s) for hertz in (200, 1000, 4000)])
    bins = LogMel()(tones, 25)[:, 12].argmax(dim=1)
    assert bins[0] < bins[1] < bins[2]
    assert LogMel()(torch.zeros(1, RATE), 25).unique().tolist() == pytest.approx([-5])


@pytest.mark.parametrize(("logits", "channels"), [(False, 16), (True, 29)])
@pytest.mark.parametrize("stretch", ["before", "after"])
def test_speech_features_have_a_row_for_each_frame(logits: bool, channels: int, stretch: str) -> None:
    features = SpeechFeatures(tiny_wav2vec(), logits=logits, stretch=stretch).eval()  # type: ignore[arg-type]
    rows = features(torch.randn(2, 8_000), 13)
    assert rows.shape == (2, 13, channels)


def test_stretching_is_where_it_says() -> None:
    network, sound = tiny_wav2vec(), torch.randn(1, 8_000)
    with torch.no_grad():
        convolved, _ = network.feature_extractor(sound, None)
        linear = F.interpolate(convolved.transpose(1, 2), 13, mode="linear", align_corners=True).transpose(1, 2)
        before = SpeechFeatures(network, logits=False, stretch="before")(sound, 13)
        assert torch.allclose(before, network.encoder(linear, None))
        own, _ = network(sound)
        after = SpeechFeatures(network, logits=True, stretch="after")(sound, own.shape[1])
        assert torch.allclose(after, own, atol=1e-6), "at its own rate these are the network's logits"


def test_logits_need_a_layer_for_letters() -> None:
    with pytest.raises(ValueError, match="letters"):
        SpeechFeatures(tiny_wav2vec(letters=None), logits=True, stretch="after")


@pytest.mark.parametrize("w", WINDOWS)
def test_windows_repeat_the_edge(w: int) -> None:
    rows = torch.arange(6.0)[:, None].repeat(1, 3)
    found = windows(rows, w)
    assert found.shape == (6, 2 * w + 1, 3)
    for t in range(6):
        assert found[t, :, 0].tolist() == [min(max(t + k, 0), 5) for k in range(-w, w + 1)]
    assert torch.equal(windows(rows, w, torch.tensor([4, 0])), found[[4, 0]])


def test_attention_weighs_the_rows_of_a_window() -> None:
    torch.manual_seed(0)
    attention = TemporalAttention(2, (8, 4, 1))
    window = torch.randn(3, 5, 8)
    weights = attention.weights(window)
    assert weights.shape == (3, 5)
    assert (weights > 0).all()
    assert torch.allclose(weights.sum(dim=1), torch.ones(3))
    assert torch.allclose(attention(window), (window * weights[..., None]).sum(dim=1), atol=1e-6)
    same = torch.randn(3, 1, 8).expand(3, 5, 8)
    assert torch.allclose(attention(same), same[:, 0], atol=1e-5)


@pytest.mark.parametrize(("kind", "out"), [("mel", 80), ("wav2vec", 768), ("wav2vec-logits", 64)])
def test_each_kind_has_its_attention(kind: str, out: int) -> None:
    attention = audio_attention(kind, 4)  # type: ignore[arg-type]
    window = torch.randn(2, 9, CHANNELS[kind], requires_grad=True)  # type: ignore[index]
    pooled = attention(window)
    assert pooled.shape == (2, out)
    pooled.sum().backward()
    assert window.grad is not None
    assert all(parameter.grad is not None for parameter in attention.parameters())


def test_the_thesiss_attention_has_five_convolutions_with_leaky_relu() -> None:
    layers = list(audio_attention("wav2vec", 8).score)
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv1d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(768, 192), (192, 64), (64, 16), (16, 4), (4, 1)]
    assert {layer.negative_slope for layer in layers if isinstance(layer, torch.nn.LeakyReLU)} == {0.02}
