"""What the thesis reports, to stand beside one's own tables (I. Pikoulis, NTUA 2023; tables 4.1, 4.5 and 5.3).

Faces were measured on AffectNet at 128 pixels, with the metrics named here: only columns of the same name compare.
What a lip reader reads compares only with what the same reader reads, of the same clips.
"""

from __future__ import annotations

from collections.abc import Mapping

from stages.common.table import MEAN, Row, Value

_EDITS = {
    "real photos": (0.638, None, None, None, None),
    "GANimation": (0.348, 24.17, 0.822, 0.100, 0.562),
    "StarGAN v2": (0.782, 17.95, 0.684, 0.157, 0.514),
    "GANmut": (0.877, 22.55, 0.824, 0.106, 0.693),
    "GGANmut": (0.969, 21.67, 0.783, 0.123, 0.614),
    "LDM (guidance 5, t0 500, 40 steps)": (0.742, 25.51, 0.836, 0.096, 0.738),
    "LDM, CLIP finetuned": (0.768, 24.38, 0.813, 0.099, 0.745),
}
_EDIT_COLUMNS = ("accuracy_hsemotion", "psnr", "ssim", "lpips", "csim")

_GENERATION = {
    "neutral": (6.64, 2.1e-3, 0.57, 0.67),
    "happy": (6.90, 2.7e-3, 0.55, 0.66),
    "sad": (7.73, 2.1e-3, 0.58, 0.66),
    "surprise": (8.54, 2.6e-3, 0.55, 0.70),
    "fear": (10.93, 2.4e-3, 0.56, 0.71),
    "disgust": (11.72, 2.3e-3, 0.56, 0.73),
    "anger": (8.03, 2.7e-3, 0.57, 0.66),
    "contempt": (10.16, 2.9e-3, 0.58, 0.71),
    MEAN: (8.83, 2.48e-3, 0.57, 0.69),
    "all together": (4.3, 2.1e-3, 0.56, 0.69),
}
_GENERATION_COLUMNS = ("fid", "kid", "precision", "recall")
_LIPREAD = {
    "ground truth (AV-HuBERT reads MEAD)": (65.5, 41.3, 65.1, 35.6),
    "talking face (AV-HuBERT reads MEAD)": (102.2, 82.1, 99.3, 77.3),
    "the same, tuned by lip reading": (89.8, 77.3, 83.9, 73.2),
}
_LIPREAD_COLUMNS = ("wer", "cer", "werv", "cerv")
_LIPREAD_CLIPS = 150
_SAMPLES = {MEAN: 40_000, "all together": 40_000}
_SAMPLES_OF_A_CLASS = 5_000
_VALIDATION_IMAGES = 4_000


def published_rows(stage: str) -> tuple[Row, ...]:
    """The thesis's rows for the evaluation of this stage; their one label is ``published``."""
    if stage in ("eval_edit", "eval_folders"):
        return tuple(_row(name, _VALIDATION_IMAGES, _EDIT_COLUMNS, values) for name, values in _EDITS.items())
    if stage == "eval_generation":
        return tuple(
            _row(name, _SAMPLES.get(name, _SAMPLES_OF_A_CLASS), _GENERATION_COLUMNS, values)
            for name, values in _GENERATION.items()
        )
    if stage == "eval_lipread":
        return tuple(_row(name, _LIPREAD_CLIPS, _LIPREAD_COLUMNS, values) for name, values in _LIPREAD.items())
    return ()


def published_source(stage: str) -> str:
    """What ``published_rows`` were measured on."""
    if stage == "eval_lipread":
        return "What the thesis reports: another reader, other people and sentences"
    return "What the thesis reports, on AffectNet and with the experts that its columns name"


def published_metrics(stage: str) -> tuple[str, ...]:
    """The metrics of ``published_rows``."""
    columns: Mapping[str, tuple[str, ...]] = {
        "eval_edit": _EDIT_COLUMNS,
        "eval_folders": _EDIT_COLUMNS,
        "eval_generation": _GENERATION_COLUMNS,
        "eval_lipread": _LIPREAD_COLUMNS,
    }
    return columns.get(stage, ())


def _row(name: str, samples: int, columns: tuple[str, ...], values: tuple[float | None, ...]) -> Row:
    known = {column: Value(value) for column, value in zip(columns, values, strict=True) if value is not None}
    return Row({"published": name}, samples, known)
