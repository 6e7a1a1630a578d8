"""A real etcd for tests: the cluster that `tercio chaos` uses, on an etcd that is found or built.

with EtcdServer.started(tmp_path, members=3) as etcd:
    etcd.pause(0)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from tercio_common.testing.chaos.etcd_cluster import EtcdCluster, EtcdNotReadyError
from tools.etcd_binary import find_or_build

__all__ = ["EtcdNotReadyError", "EtcdServer"]


class EtcdServer(EtcdCluster):
    """See `EtcdCluster`."""

    @classmethod
    @contextlib.contextmanager
    def started(
        cls,
        folder: Path,
        *,
        binary: Path | None = None,
        members: int = 1,
        fsync: bool = True,
        options: Sequence[str] = (),
    ) -> Iterator[Self]:
        """Yield a running cluster, and stop it at the end."""
        chosen = binary or find_or_build()
        with super().started(folder, binary=chosen, members=members, fsync=fsync, options=options) as server:
            yield server
