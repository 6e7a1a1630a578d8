"""Puts our hooks among those of a repository, for all of its working trees, and takes them out again.

A hook that is there already is kept and runs first. Nothing else is changed: no setting of git, no tracked file.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from tercio.repository import Repository, RepositoryError

HOOKS: Final = ("pre-commit", "pre-merge-commit")
"""Git runs the first for a commit, the second for a merge without conflicts."""
_MARK: Final = "# Written by `tercio git-hook install`; `tercio git-hook uninstall` removes it."
_BEFORE: Final = ".before-tercio"
_SCRIPT: Final = """\
#!/bin/sh
{mark}
if [ -x "$0{before}" ]; then "$0{before}" "$@" || exit $?; fi
if [ ! -x {python} ]; then
    echo "tercio: {python} is gone, so nobody can tell whether others hold what is committed." >&2
    echo "Install the hook again, or commit with --no-verify." >&2
    exit 1
fi
exec {python} -P -m tercio.cli git-hook run
"""


def install(repository: Repository) -> list[Path]:
    """Install the hooks, or bring them up to date; return where they are.

    Raises:
        RepositoryError: a hook cannot be kept, or the folder cannot be written.
    """
    folder = repository.path_of("hooks")
    script = _SCRIPT.format(mark=_MARK, before=_BEFORE, python=shlex.quote(sys.executable))
    found = [folder / name for name in HOOKS]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for hook in found:
            _set_aside(hook)
            _write(hook, script)
    except OSError as error:
        raise RepositoryError(f"{error.filename}: {error.strerror}") from None
    return found


def uninstall(repository: Repository) -> list[Path]:
    """Remove the hooks and put back what was there before; return what was removed.

    Raises:
        RepositoryError: the folder cannot be written.
    """
    removed = []
    try:
        for name in HOOKS:
            hook = repository.path_of("hooks") / name
            if _is_ours(hook):
                hook.unlink()
                removed.append(hook)
                if os.path.lexists(_before(hook)):
                    _before(hook).rename(hook)
    except OSError as error:
        raise RepositoryError(f"{error.filename}: {error.strerror}") from None
    return removed


def _set_aside(hook: Path) -> None:
    if not os.path.lexists(hook) or _is_ours(hook):
        return
    if os.path.lexists(_before(hook)):
        raise RepositoryError(f"both {hook} and {_before(hook).name} are there, and only one can be kept: join them")
    hook.rename(_before(hook))


def _write(hook: Path, script: str) -> None:
    """Write a hook at once: a commit that runs meanwhile sees the old one or the new one."""
    fresh = hook.with_name(f".{hook.name}.{os.getpid()}")
    fresh.write_text(script)
    fresh.chmod(0o755)
    fresh.replace(hook)


def _is_ours(hook: Path) -> bool:
    return hook.is_file() and _MARK.encode() in hook.read_bytes()


def _before(hook: Path) -> Path:
    return hook.with_name(hook.name + _BEFORE)
