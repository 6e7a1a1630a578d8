"""How much of the store each service may fill.

What a service holds alive takes up to six times as much room: the snapshot in force and the next one, the journal
since, which grows to the size of a snapshot, and old versions of all of these until they are compacted. With that, the
segments that stay for raw tails and the audit trails, all services together may fill the store to 60 %, where new work
is refused; the rest is for finishing what there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tercio_common.errors import SettingsError
from tercio_common.settings import HostSettings

SERVICES = ("registry", "scheduler", "resources", "conflicts", "scaling")
FULL_PERCENT = 60
"""Of the quota in use, at which commands that create work are refused."""
_NOMINAL_QUOTA = 8 << 30
"""Shares are of this where the store has no quota; more is not recommended for etcd."""
_COPIES = 6
_SHARE = {"scheduler": 16}
_OTHER_SHARE = 128
_AUDIT_SHARE = 256
_TAIL_SHARE = 8
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Budget:
    """One service's part of a store.

    Attributes:
        service: its name.
        settings: as every process that shares the store has them.
        quota: the store's, in bytes; 0 is none.
    """

    service: str
    settings: HostSettings
    quota: int = 0

    @property
    def live_bytes(self) -> int:
        """What the service may hold in a snapshot."""
        return self._live_bytes_of(self.service)

    @property
    def tail_bytes(self) -> int:
        """Journal that may be written before what a snapshot covers is deleted, however little time has passed."""
        return self.live_bytes // _TAIL_SHARE

    @property
    def audit_bytes(self) -> int:
        """What the service's audit trail may take beside the journal."""
        configured = self.settings.audit_bytes
        return self._share(_AUDIT_SHARE) if configured is None else configured

    def checked(self) -> Self:
        """Return itself if all services together fit into the store.

        Raises:
            SettingsError: they do not.
        """
        live = {name: self._live_bytes_of(name) for name in dict.fromkeys((*SERVICES, *self.settings.live_bytes))}
        total = sum(live.values())
        needed = _COPIES * total + total // _TAIL_SHARE + len(live) * self.audit_bytes
        usable = self.quota * FULL_PERCENT // 100
        if self.quota and needed > usable:
            each = ", ".join(f"{name} {size / _MIB:.0f}" for name, size in live.items())
            raise SettingsError(
                f"the services may hold {each} MiB alive, which with snapshots, journal and audit takes up to "
                f"{needed / _MIB:.0f} MiB; the store's quota is {self.quota / _MIB:.0f} MiB, of which "
                f"{FULL_PERCENT} % may be used: lower host.live_bytes or host.audit_bytes, or raise the quota"
            )
        return self

    def _live_bytes_of(self, service: str) -> int:
        configured = self.settings.live_bytes.get(service)
        return self._share(_SHARE.get(service, _OTHER_SHARE)) if configured is None else configured

    def _share(self, part: int) -> int:
        return (self.quota or _NOMINAL_QUOTA) // part
