"""What `make demo` runs: the example as a script, from any directory."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
runpy.run_module("examples.tickets", run_name="__main__")
