"""How full etcd is, and giving space back.

The quota counts the size of each member's file, which only defragmentation shrinks; compaction merely makes room
inside it. Once the quota is reached, etcd raises an alarm that stays until somebody lifts it.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from google.protobuf.unknown_fields import UnknownFieldSet

from tercio_common.errors import StoreUnavailableError
from tercio_common.etcd_client.client import Attempt, EtcdClient, unary
from tercio_common.etcd_client.requests import get
from tercio_common.etcd_client.stubs import api

_log = logging.getLogger(__name__)

_ANY_KEY = b"/"
"""Read for the revision in the reply's header."""

_QUOTA_FIELD = 12
"""`StatusResponse.dbSizeQuota`, since etcd 3.6; the stubs are older and keep it as an unknown field."""


class Usage(NamedTuple):
    """The fullest member, in bytes; `quota` 0 means unknown."""

    in_use: int
    file_size: int
    quota: int
    full: bool


async def measure(client: EtcdClient) -> Usage:
    """Return how full the fullest member is.

    Raises:
        StoreUnavailableError: no member answers.
    """
    statuses = []
    for member in client.members():
        try:
            statuses.append(await client.ask(member, _call("Status", api.StatusRequest())))
        except StoreUnavailableError as error:
            _log.debug("etcd member %s is left out of the measurement: %s", member.endpoint, error)
    if not statuses:
        raise StoreUnavailableError("no etcd member tells how full it is")
    return Usage(
        in_use=max(status.dbSizeInUse for status in statuses),
        file_size=max(status.dbSize for status in statuses),
        quota=client.settings.quota_bytes or min(map(_quota, statuses)),
        full=any("NOSPACE" in error for status in statuses for error in status.errors),
    )


async def reclaim(client: EtcdClient) -> None:
    """Compact all history, defragment one member after the other, and lift the alarm of a full store.

    Members that do not answer keep their size; they are done when it is called again.

    Raises:
        StoreUnavailableError: compacting or lifting the alarm failed.
    """
    await compact(client)
    for member in client.members():
        try:
            await client.maintain(_call("Defragment", api.DefragmentRequest()), member=member)
        except StoreUnavailableError as error:
            _log.warning("etcd member %s was not defragmented and keeps its file size: %s", member.endpoint, error)
    await _lift_alarms(client)


async def compact(client: EtcdClient) -> None:
    """Compact all history. Raises StoreUnavailableError."""
    present = (await client.read(get(_ANY_KEY))).header.revision
    # physical: returns when the space is free, so that the defragmentation after it finds it.
    request = api.CompactionRequest(revision=present, physical=True)
    try:
        await client.maintain(lambda m, t: unary(m.kv.Compact, request, t))
    except StoreUnavailableError as error:
        # Another replica was quicker.
        if "has been compacted" not in str(error):
            raise


async def _lift_alarms(client: EtcdClient) -> None:
    listing = api.AlarmRequest(action=api.AlarmRequest.GET, alarm=api.NOSPACE)
    raised: Any = await client.maintain(_call("Alarm", listing))
    for alarm in raised.alarms:
        if alarm.alarm == api.NOSPACE:
            lift = api.AlarmRequest(action=api.AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=api.NOSPACE)
            await client.maintain(_call("Alarm", lift))


def _quota(status: Any) -> int:
    unknown: Any = UnknownFieldSet(status)
    return next((int(field.data) for field in unknown if field.field_number == _QUOTA_FIELD), 0)


def _call(method: str, request: Any) -> Attempt[Any]:
    return lambda member, timeout: unary(getattr(member.maintenance, method), request, timeout)
