"""The command line: what people type, and what they see."""

from service.cli.application import main

__all__ = ["main"]
