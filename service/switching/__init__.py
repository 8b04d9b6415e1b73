"""Old and new model as one deployable switch, with the promise that it keeps and how long that holds.

`graph` writes both into one ONNX graph; `certificate` is what was promised, on which rows, and until when; `building` calibrates.
"""
