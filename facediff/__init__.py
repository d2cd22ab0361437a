"""facediff from Python: the pipelines behind ``facediff edit`` and ``facediff synthesize``."""

from __future__ import annotations

from facediff.edit import FaceEditOutput, FaceEditPipeline
from facediff.synthesis import FaceSynthesisOutput, FaceSynthesisPipeline

__all__ = ["FaceEditOutput", "FaceEditPipeline", "FaceSynthesisOutput", "FaceSynthesisPipeline"]
