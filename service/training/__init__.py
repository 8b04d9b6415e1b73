"""A reference trainer: a new head on the frozen embedder, a worked example of the job that a team puts in its place.

`material` is what it learns from, `folds` and `choosing` find hyper-parameters on the training side alone, `fitting` is the only module
that knows torch, `grafting` joins embedder and head to one ONNX file, `written` records how it was made, `job` is the whole of it and
`reproducing` does it once more.
"""
