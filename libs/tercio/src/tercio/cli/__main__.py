"""Lets `python -m tercio.cli` do what the command `tercio` does, in the same environment for certain."""

from __future__ import annotations

from tercio.cli.main import app

app(prog_name="tercio")
