"""Features of a clip's sound: made once, kept, and named when the weights are missing."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from support.speech import tiny_wav2vec
from support.videos import hum

from stages.common import audio_features, torch_hub
from stages.common.audio_features import AudioConfig, AudioEncoder
from stages.common.errors import BadInputError, MissingModelError
from stages.common.media.sound import encode_wav

WAV = encode_wav(hum(0.4).astype(np.float32))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise urllib.error.URLError("offline")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.usefixtures("offline")
def test_mel_needs_no_weights_and_is_made_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = AudioEncoder(AudioConfig()).encode(WAV, 10)
    assert (first.shape, first.dtype) == ((10, 80), np.float32)
    monkeypatch.setattr(AudioEncoder, "features", None)
    assert np.array_equal(AudioEncoder(AudioConfig()).encode(WAV, 10), first)
    assert len(list(home.rglob("*.npz"))) == 1


def test_features_are_kept_by_sound_frames_and_settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_features, "load_wav2vec", tiny_wav2vec)
    other = encode_wav(hum(0.4, frequency_hz=300).astype(np.float32))
    for config in (AudioConfig(), AudioConfig(kind="wav2vec"), AudioConfig(kind="wav2vec", stretch="after")):
        encoder = AudioEncoder(config)
        made = [encoder.encode(wav, frames) for wav, frames in ((WAV, 10), (WAV, 12), (other, 10), (WAV, 10))]
        assert [len(rows) for rows in made] == [10, 12, 10, 10]
        assert np.array_equal(made[0], made[3])
        assert not np.array_equal(made[0], made[2])
    assert len(list(home.rglob("*.npz"))) == 9


def test_logits_are_29_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_features, "load_wav2vec", tiny_wav2vec)
    assert AudioEncoder(AudioConfig(kind="wav2vec-logits")).encode(WAV, 10).shape == (10, 29)


@pytest.mark.parametrize("kind", ["mel", "wav2vec"])
def test_without_torchaudio_one_line_says_what_to_install(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    monkeypatch.setattr(torch_hub, "missing", lambda _urls: [])
    with pytest.raises(MissingModelError, match=r"package torchaudio.*facediff\[talk\]") as caught:
        AudioEncoder(AudioConfig(kind=kind)).encode(WAV, 10)
    assert caught.value.exit_code == 6


def test_the_commands_that_hear_can_be_imported_without_torchaudio() -> None:
    code = "import sys; sys.modules['torchaudio'] = None; import stages.talk.run, stages.talk_training.run"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.usefixtures("offline")
def test_wav2vec_without_weights_is_a_missing_model(home: Path) -> None:
    with pytest.raises(MissingModelError, match=r"wav2vec 2\.0 are not here.*mel features") as caught:
        AudioEncoder(AudioConfig(kind="wav2vec")).encode(WAV, 10)
    assert caught.value.exit_code == 6
    assert not home.exists()


def test_a_damaged_file_of_weights_is_named(offline: Path) -> None:
    offline.mkdir(parents=True)
    (offline / "wav2vec2_fairseq_base_ls960_asr_ls960.pth").write_bytes(b"no weights")
    with pytest.raises(MissingModelError, match=r"ls960\.pth does not hold wav2vec"):
        audio_features.load_wav2vec()


def test_the_address_is_torchaudios() -> None:
    from torchaudio.pipelines import WAV2VEC2_ASR_BASE_960H

    assert audio_features._WAV2VEC_URL.endswith("/torchaudio/models/" + WAV2VEC2_ASR_BASE_960H._path)


def test_too_little_sound_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="too few"):
        AudioEncoder(AudioConfig()).encode(encode_wav(np.zeros(100, np.float32)), 1)
