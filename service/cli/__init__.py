"""The command line: what people type, and what they see."""

import os

# The model has ONNX Runtime's threads; a second pool for numpy would fight it for the same cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from service.cli.application import main

__all__ = ["main"]
