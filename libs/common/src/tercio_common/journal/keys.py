"""Where things are in etcd.

    /tercio/generation                                         raised by an operator after etcd was restored or replaced
    /tercio/<service>/shard/0/election                         the leader's address, with its lease
    /tercio/<service>/shard/0/journal/<%020d>                  segments
    /tercio/<service>/shard/0/snapshot/pointer                 the snapshot in force
    /tercio/<service>/shard/0/snapshot/<generation>-<revision>-<seq>/<%06d>     its chunks
    /tercio/<service>/shard/0/audit/<%020d>                    audit chunks

Numbers have leading zeros, so that the order of keys is the order of numbers. The first part is a setting, so that
fleets can share an etcd.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tercio_common.etcd_client.requests import prefix_end
from tercio_common.journal.port import SnapshotId

DEFAULT_PREFIX = "tercio"

_SERVICE = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one shard of one service, which nobody else reads or writes."""

    service: str
    shard: int = 0
    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not _SERVICE.fullmatch(self.service):
            raise ValueError(f"{self.service!r} is no service name: lower-case letters, digits and hyphens are")

    @property
    def generation(self) -> bytes:
        """The store's generation, shared by all services."""
        return f"/{self.prefix}/generation".encode()

    @property
    def election(self) -> bytes:
        """The leader's key."""
        return self._key("election")

    @property
    def segments(self) -> bytes:
        """Prefix of every segment."""
        return self._key("journal/")

    @property
    def segments_end(self) -> bytes:
        """The first key after every segment."""
        return prefix_end(self.segments)

    def segment(self, number: int) -> bytes:
        """One segment."""
        return self._key(f"journal/{number:020d}")

    @property
    def pointer(self) -> bytes:
        """The snapshot in force."""
        return self._key("snapshot/pointer")

    @property
    def snapshots(self) -> bytes:
        """Prefix of every chunk and of the pointer, which comes after all chunks."""
        return self._key("snapshot/")

    def snapshot(self, snapshot: SnapshotId) -> bytes:
        """Prefix of one snapshot's chunks."""
        return self._key(f"snapshot/{snapshot.epoch.generation}-{snapshot.epoch.revision}-{snapshot.seq}/")

    def chunk(self, snapshot: SnapshotId, index: int) -> bytes:
        """One chunk."""
        return self.snapshot(snapshot) + b"%06d" % index

    @property
    def audits_end(self) -> bytes:
        """The first key after every audit chunk."""
        return prefix_end(self._key("audit/"))

    def audit(self, number: int) -> bytes:
        """One audit chunk."""
        return self._key(f"audit/{number:020d}")

    def _key(self, rest: str) -> bytes:
        return f"/{self.prefix}/{self.service}/shard/{self.shard}/{rest}".encode()


def number_of(key: bytes) -> int:
    """Return the number at the end of a segment's, chunk's or audit chunk's key."""
    return int(key.rsplit(b"/", 1)[1])
