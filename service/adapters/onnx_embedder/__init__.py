"""Embeds payloads with ONNX Runtime: any model the user brings, once it has shown that it can be trusted.

`text`, `image` and `tensor` turn payloads into model inputs; `graph` runs the model; `readout` turns its outputs into vectors;
`invariance` is the proof asked of every model on load; `vectors` is for samples that bring their embedding.
"""

from service.adapters.onnx_embedder.embedder import OnnxEmbedder, load_embedder

__all__ = ["OnnxEmbedder", "load_embedder"]
