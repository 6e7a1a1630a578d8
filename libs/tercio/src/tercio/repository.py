r"""A git repository as claims see it: which one it is, and what a commit is about to change.

All working trees of a repository share its common directory, so that names it, with links resolved. Clones are
different repositories, unless the setting `tercio.scope` of git gives them a common name.

Names are read as git stores them: bytes, relative to the top, `/` between segments. What is not UTF-8 in them is shown
as `\xNN`, in the same way wherever a name is looked at.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tercio.rpc.errors import TercioError

_SUBMODULE: Final = b"160000"
_WILD: Final = frozenset("*?[]{}\\")
_TIMEOUT_S: Final = 60.0
"""For a command that only reads. A repository that takes longer is on a disk that hangs."""


class RepositoryError(TercioError):
    """There is no repository here, or git cannot read it."""


class Change(NamedTuple):
    """One path that a commit adds, changes or deletes; a renamed file is two."""

    path: str
    is_submodule: bool


class Repository:
    """The repository that a directory belongs to.

    Attributes:
        common: the common directory, resolved: the same for each working tree.
        top: the working tree.
        prefix: where in it the directory is; empty at the top, else with a slash at its end.
    """

    def __init__(self, directory: Path | None = None, *, environment: Mapping[str, str] | None = None) -> None:
        """Look up the repository of a directory, by default of the present one.

        Raises:
            RepositoryError: it is in no working tree, or there is no git.
        """
        self._directory = directory or Path()
        self._environment = dict(os.environ if environment is None else environment)
        found = self._git("rev-parse", "--show-toplevel", "--git-common-dir", "--show-prefix")
        top, common, prefix = found.removesuffix(b"\n").split(b"\n")
        self.top = Path(os.fsdecode(top))
        self.common = (self._directory / os.fsdecode(common)).resolve()
        self.prefix = _text(prefix)
        self._directory = self.top

    @property
    def scope(self) -> str:
        """What names the repository in claims."""
        return self.setting("tercio.scope") or _text(os.fsencode(self.common))

    def setting(self, name: str) -> str:
        """Return a setting of git, empty if there is none."""
        return self._git("config", "--get", name, may_fail=True).decode(errors="replace").removesuffix("\n")

    def path_of(self, name: str) -> Path:
        """Return where git keeps one of its own files, such as `hooks` or `MERGE_HEAD`."""
        found = self._git("rev-parse", "--git-path", name).removesuffix(b"\n")
        return (self._directory / os.fsdecode(found)).resolve()

    def staged(self) -> list[Change]:
        """Return what the next commit changes.

        Of a merge that is what differs from each parent: what one of them has already was its author's change.

        Raises:
            RepositoryError: git cannot tell.
        """
        parents = self._parents()
        changed = self._changed_from(parents[0])
        for parent in parents[1:]:
            common = self._changed_from(parent).keys() & changed.keys()
            changed = {name: changed[name] for name in common}
        return [Change(_text(name), changed[name]) for name in sorted(changed)]

    def _parents(self) -> list[str]:
        head = self._git("rev-parse", "--verify", "--quiet", "HEAD", may_fail=True).decode().strip()
        # A clean merge runs its hook before it writes MERGE_HEAD, and names what it merges in the environment only.
        merged = [name.removeprefix("GITHEAD_") for name in self._environment if name.startswith("GITHEAD_")]
        merge_head = self.path_of("MERGE_HEAD")
        if not merged and merge_head.exists():
            merged = merge_head.read_text().split()
        return [head or self._git("hash-object", "-t", "tree", "--stdin").decode().strip(), *merged]

    def _changed_from(self, tree: str) -> dict[bytes, bool]:
        """Return paths that the index has otherwise than a tree, and whether they are submodules on either side."""
        fields = self._git("diff-index", "--cached", "--raw", "--no-renames", "--ignore-submodules=none", "-z", tree)
        parts = iter(fields.split(b"\0"))
        changed = {}
        for facts in parts:
            if facts:
                changed[next(parts)] = _SUBMODULE in facts[1:].split(b" ")[:2]
        return changed

    def _git(self, *arguments: str, may_fail: bool = False) -> bytes:
        try:
            ended = subprocess.run(  # noqa: S603  # fixed verbs; nothing is read by a shell
                ["git", *arguments],  # noqa: S607  # the git of whoever runs this
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except OSError as error:
            raise RepositoryError(f"git cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise RepositoryError(f"git {arguments[0]} did not end within {_TIMEOUT_S:.0f} s") from None
        if ended.returncode and not may_fail:
            said = ended.stderr.decode(errors="replace").strip()
            raise RepositoryError(said.removeprefix("fatal: ") or f"git {arguments[0]} failed")
        return b"" if ended.returncode else ended.stdout


def is_pattern(name: str) -> bool:
    """Tell whether a name has characters that patterns give a meaning to."""
    return not _WILD.isdisjoint(name)


def escaped(path: str) -> str:
    """Return the pattern that matches this path alone."""
    return "".join("\\" + each if each in _WILD else each for each in path)


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
