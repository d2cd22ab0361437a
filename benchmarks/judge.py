"""Are edits judged as what they should be, by a recogniser that facediff never trained on, on people it never saw?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.editing import Case, Edited, edit_cases, prepare_cases
from benchmarks.photos import select_photos
from benchmarks.tables import print_table
from stages.common.face.detect import FaceDetector, load_detector
from stages.common.face.embedder import FaceEmbedder
from stages.common.face.similarity import transform_points
from stages.common.images import read_rgb
from stages.edit.config import EditConfig
from stages.edit.run import FaceEditor
from stages.evaluate.fer import Recogniser, haar_like_box
from stages.evaluate.statistics import bootstrap_interval, cosine, psnr_db
from stages.models.fer_judge import FER_LABELS

GOALS = {"happy": 0.90, "anger": 0.55, "surprise": 0.50, "sad": 0.40}
CONTROL = "neutral"
_GRID_ROWS = 8


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """Which photos are edited and into what: ``limit`` neutral photos of ``split``; ``real_limit`` photos a label."""

    labels: Path
    root: Path
    split: str = "test"
    limit: int = 100
    emotions: tuple[str, ...] = tuple(GOALS)
    source: str = "auto"
    real_limit: int = 100
    identity: bool = True


class Judge:
    """Judges the editor's photos; faces are found once, in the original, and edits are judged at the same box."""

    def __init__(self, editor: FaceEditor, settings: JudgeSettings, detector: FaceDetector | None = None) -> None:
        self.editor, self.settings = editor, settings
        self.recogniser = Recogniser()
        self.detector = detector or load_detector("dlib")
        self.embed = FaceEmbedder() if settings.identity else None
        paths = [photo.path for photo in select_photos(settings.labels, settings.split, CONTROL, settings.limit)]
        self.cases = prepare_cases(settings.root, paths, editor, self.detector, settings.source)
        self.asked = len(paths)
        self.grid: list[list[NDArray[np.uint8]]] = []
        self._before = self.judge([case.rgb for case in self.cases]) if self.cases else []
        self._real = self._judge_real_photos()
        self._embeddings: list[NDArray[np.float64]] = []

    def run(self, config: EditConfig) -> dict[str, Any]:
        """All numbers, ready for JSON: one row a target, the control among them, and the recogniser on real photos.

        ``config``'s own emotion and source are not used.
        """
        self.grid = [[_tile(case, case.rgb)] for case in self.cases[:_GRID_ROWS]]
        targets = [CONTROL, *(emotion for emotion in self.settings.emotions if emotion in self.editor.editable)]
        return {
            "model": self.editor.artifact_id,
            "photos": len(self.cases),
            "photos_without_face": self.asked - len(self.cases),
            "split": self.settings.split,
            "settings": config.model_dump(mode="json", include={"strength", "guidance", "steps", "blend"}),
            "recommended_guidance": dict(self.editor.recommended_guidance),
            "not_supported": [e for e in self.settings.emotions if e not in self.editor.editable],
            "sources": dict(Counter(case.source for case in self.cases)),
            "before": self._share(self._before, CONTROL),
            "targets": {target: self.judge_target(target, config) for target in targets},
            "real": self._real,
            "other_people_cosine": self._other_people_cosine(),
        }

    def judge(self, photos: Sequence[NDArray[np.uint8]]) -> list[str]:
        """The recogniser's word for each case's face, in these versions of its photo."""
        boxes = [haar_like_box(case.face.box_xyxy) for case in self.cases]
        return [FER_LABELS[i] for i in self.recogniser(photos, boxes).argmax(axis=1)]

    def judge_target(self, target: str, config: EditConfig) -> dict[str, Any]:
        """The row of one target."""
        started = time.perf_counter()
        edits = list(edit_cases(self.editor, self.cases, [target] * len(self.cases), config))
        seconds = time.perf_counter() - started
        for tiles, case, edit in zip(self.grid, self.cases, edits, strict=False):
            tiles.append(_tile(case, edit.rgb))
        fidelity = [_face_psnr_db(case, edit) for case, edit in zip(self.cases, edits, strict=True)]
        words = self.judge([edit.rgb for edit in edits])
        row = self._share(words, target)
        row |= {
            "goal": GOALS.get(target),
            "judged_as_before": float(np.mean([a == b for a, b in zip(words, self._before, strict=True)])),
            "face_psnr_db": float(np.median(fidelity)),
            "crop_psnr_to_reconstruction_db": float(np.median([psnr_db(e.edited, e.reconstruction, 2) for e in edits])),
            "outside_identical": all(_outside_is_identical(c, e) for c, e in zip(self.cases, edits, strict=True)),
            "seconds_a_photo": seconds / len(self.cases),
        }
        return row | self._identity(edits)

    def _judge_real_photos(self) -> dict[str, Any]:
        """How often the recogniser agrees with the labels of real photos of the same split."""
        if not self.settings.real_limit:
            return {}
        result = {}
        for emotion in (CONTROL, *GOALS):
            photos, boxes = [], []
            for sample in select_photos(self.settings.labels, self.settings.split, emotion, self.settings.real_limit):
                rgb = read_rgb(self.settings.root / sample.path)
                faces = self.detector(rgb)
                if faces:
                    photos.append(rgb)
                    boxes.append(haar_like_box(faces[0].box_xyxy))
            if photos:
                result[emotion] = self._share(
                    [FER_LABELS[i] for i in self.recogniser(photos, boxes).argmax(axis=1)], emotion
                )
        return result

    @staticmethod
    def _share(words: Sequence[str], target: str) -> dict[str, Any]:
        hits = [float(word == target) for word in words]
        return {
            "share": float(np.mean(hits)),
            "interval_95": bootstrap_interval(hits),
            "photos": len(words),
            "judged_as": {label: words.count(label) for label in FER_LABELS},
        }

    def _identity(self, edits: Sequence[Edited]) -> dict[str, Any]:
        """Mean cosines to the source: of edited photos and crops, of the crops' reconstructions, and their ratio."""
        if self.embed is None:
            return {}
        edited_photo, edited_crop, reconstructed = [], [], []
        for number, (case, edit) in enumerate(zip(self.cases, edits, strict=True)):
            points = transform_points(case.matrix, case.face.landmarks)
            if number == len(self._embeddings):
                self._embeddings.append(self.embed(case.rgb, case.face.landmarks))
            edited_photo.append(cosine(self._embeddings[number], self.embed(edit.rgb, case.face.landmarks)))
            crop = self.embed(case.crop, points)
            edited_crop.append(cosine(crop, self.embed(_to_uint8(edit.edited), points)))
            reconstructed.append(cosine(crop, self.embed(_to_uint8(edit.reconstruction), points)))
        means = {
            "identity_photo": float(np.mean(edited_photo)),
            "identity_crop": float(np.mean(edited_crop)),
            "identity_reconstruction": float(np.mean(reconstructed)),
        }
        return means | {"identity_ratio": means["identity_crop"] / means["identity_reconstruction"]}

    def _other_people_cosine(self) -> float | None:
        """The same cosine between neighbouring photos, nearly all of different people: what no likeness looks like."""
        pairs = list(zip(self._embeddings, self._embeddings[1:], strict=False))
        return float(np.mean([cosine(a, b) for a, b in pairs])) if pairs else None


def print_judgement(result: dict[str, Any]) -> None:
    """The result of ``Judge.run`` as tables."""
    settings = ", ".join(f"{key} {value}" for key, value in result["settings"].items())
    rows = []
    for target, row in result["targets"].items():
        identity = f"{row['identity_ratio']:.3f}" if "identity_ratio" in row else "-"
        rows.append(
            [
                target + (" (control)" if target == CONTROL else ""),
                _format_share(row),
                f"{row['goal']:.2f}" if row["goal"] else "-",
                f"{row['judged_as_before']:.2f}",
                f"{row['face_psnr_db']:.1f}",
                identity,
                f"{row['identity_photo']:.3f}" if "identity_photo" in row else "-",
                "yes" if row["outside_identical"] else "NO",
                f"{row['seconds_a_photo']:.2f}",
            ]
        )
    print_table(
        f"Edits of {result['photos']} neutral {result['split']} photos ({settings})",
        [
            "target", "judged as target (95 %)", "goal", "as before", "face PSNR dB", "identity / recon",
            "photo cosine", "outside equal", "s/photo",
        ],
        rows,
    )  # fmt: skip
    judged = {"before": result["before"], **result["targets"], **{f"real {k}": v for k, v in result["real"].items()}}
    print_table(
        "What the judge says (photos)",
        ["photos", *FER_LABELS],
        [[name, *(str(row["judged_as"][label]) for label in FER_LABELS)] for name, row in judged.items()],
    )
    if result["real"]:
        print_table(
            f"The judge on real {result['split']} photos",
            ["label", "agrees (95 %)", "photos"],
            [[label, _format_share(row), str(row["photos"])] for label, row in result["real"].items()],
        )
    for emotion in result["not_supported"]:
        print(f"\nThe model has not learned {emotion}.")


def write_grid(judge: Judge, path: Path) -> None:
    """The first photos' faces: source, control, targets."""
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack([np.hstack(row) for row in judge.grid]), cv2.COLOR_RGB2BGR))


def _format_share(row: dict[str, Any]) -> str:
    low, high = row["interval_95"]
    return f"{row['share']:.2f} ({low:.2f}-{high:.2f})"


def _face_psnr_db(case: Case, edit: Edited) -> float:
    inside = case.inside_HW
    return psnr_db(case.rgb[inside], edit.rgb[inside])


def _outside_is_identical(case: Case, edit: Edited) -> bool:
    outside = ~edit.inside_HW
    return np.array_equal(case.rgb[outside], edit.rgb[outside])


def _tile(case: Case, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    left, top, right, bottom = case.face.box_xyxy
    margin = 0.3 * (right - left)
    height, width = rgb.shape[:2]
    rows = slice(max(0, int(top - 1.5 * margin)), min(height, int(bottom + margin)))
    columns = slice(max(0, int(left - margin)), min(width, int(right + margin)))
    return np.asarray(cv2.resize(rgb[rows, columns], (160, 160), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _to_uint8(crop_SSC: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint((np.clip(crop_SSC, -1, 1) + 1) * 127.5), dtype=np.uint8)
