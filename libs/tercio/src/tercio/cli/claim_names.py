"""How people name what they claim: paths and globs from where they are, in the repository that they are in."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tercio.api.conflicts.v1.claim_pb2 import Thing
from tercio.repository import Repository, RepositoryError, escaped, is_pattern
from tercio.things import thing

_OF_REPOSITORIES = {"path", "file", "glob", "worktree", "branch"}


class Named(NamedTuple):
    """What was named, and where the names mean something."""

    scope: str
    things: list[Thing]


def named(names: Sequence[str], *, kind: str, scope: str | None) -> Named:
    """Return the things that were named.

    Args:
        names: paths are taken from the present folder, as git takes them; with a scope from its top.
        kind: one of `tercio.things.KINDS`, or `path`: what exists is a file or a folder, however it is spelt, and
            anything else is a file or a glob.
        scope: None for the repository of the present folder, or for other kinds none.

    Raises:
        ValueError: a name is none, or there is no repository to look it up in.
    """
    asked = "" if kind == "path" else kind
    if scope is not None or kind not in _OF_REPOSITORIES:
        return Named(scope or "", [thing(name, scope=scope or "", kind=asked) for name in names])
    try:
        repository = Repository()
    except RepositoryError as error:
        raise ValueError(f"{error}; say with --scope where the names mean something") from None
    if kind in {"path", "file", "glob"}:
        return Named(repository.scope, [_in_tree(name, asked, repository) for name in names])
    return Named(repository.scope, [thing(name, scope=repository.scope, kind=asked) for name in names])


def myself() -> str:
    """Return who asks, as holders are told."""
    return re.sub(r"[^A-Za-z0-9._:/@-]", "-", f"{getpass.getuser()}@{socket.gethostname()}")[:200]


def _in_tree(name: str, kind: str, repository: Repository) -> Thing:
    path = _from_top(name, repository)
    here = repository.top / path
    if path == ".":
        return thing("**", scope=repository.scope, kind="glob")
    if kind != "glob" and here.is_dir() and not here.is_symlink():
        return thing(escaped(path) + "/**", scope=repository.scope, kind="glob")
    if kind != "glob" and os.path.lexists(here):
        return thing(path, scope=repository.scope, kind="file")
    if name.endswith("/"):
        return thing(f"{path}/**", scope=repository.scope, kind="glob")
    prefix = repository.prefix
    if (kind or ("glob" if is_pattern(name) else "file")) == "glob" and is_pattern(prefix):
        # The folder that somebody stands in is meant literally.
        path = escaped(prefix) + path.removeprefix(prefix)
    return thing(path, scope=repository.scope, kind=kind or ("glob" if is_pattern(name) else "file"))


def _from_top(name: str, repository: Repository) -> str:
    """Return a name from the top of the tree, in its shortest form."""
    if Path(name).is_absolute():
        found = Path(os.path.normpath(name))
        if not found.is_relative_to(repository.top):
            raise ValueError(f"{name} is not in {repository.top}")
        return found.relative_to(repository.top).as_posix()
    path = os.path.normpath(repository.prefix + name)
    if path == ".." or path.startswith("../"):
        raise ValueError(f"{name} is not in {repository.top}")
    return path
