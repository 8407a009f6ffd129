"""The ``m1cep`` command. Commands live in modules of their own and import what they need when called."""

from streams.cli.main import app, main

__all__ = ["app", "main"]
