"""Networks in formats of other programs: ONNX."""

from .onnx_file import export_onnx

__all__ = ["export_onnx"]
