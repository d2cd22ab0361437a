"""Settings of an export."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.common.config import StageConfig


class ExportConfig(StageConfig):
    """``tolerance``: the largest difference between torch and ONNX, in eps or in pictures of -1..1, that is let out."""

    format: Literal["safetensors", "onnx"] = "safetensors"
    dtype: Literal["float32", "float16"] = "float32"
    tolerance: float = Field(default=1e-3, gt=0)

    @model_validator(mode="after")
    def _onnx_is_float32(self) -> Self:
        if self.format == "onnx" and self.dtype == "float16":
            raise ValueError("onnx is written in float32")
        return self
