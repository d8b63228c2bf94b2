"""The ONNX bundle: writing one from a fitted router, and reading it back."""
