"""ONNX models: read with limits, checked, and turned into graphs."""
