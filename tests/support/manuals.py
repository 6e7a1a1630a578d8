"""Packages that are installed for a test as an installer would, with the code of a page of the manual."""

from __future__ import annotations

import re
from pathlib import Path

_EXTEND = Path(__file__).resolve().parents[2] / "docs/extend"


def code_of(page: str) -> str:
    """Return the Python of a page under docs/extend, which must have one piece of it."""
    (code,) = re.findall(r"```python\n(.*?)```", (_EXTEND / page).read_text(), re.DOTALL)
    return re.sub(r"^   ", "", code, flags=re.MULTILINE)


def install(folder: Path, *, module: str, code: str, group: str, entry: str) -> None:
    """Write a package with one module and one entry point into a folder of the import path."""
    (folder / f"{module}.py").write_text(code)
    described = folder / f"{module}-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
