"""Claims and what is asked about them: contract to domain and back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple, cast

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio_common.epochs import Epoch
from tercio_common.filtering.predicates import Filter
from tercio_common.rpc.fields import duration, epoch_message, filter_of, page_size_of, timestamp
from tercio_common.rpc.violations import Violations
from tercio_conflicts.state.commands import Acquire, Atomicity, Item, Release, RequestRelease, Transfer
from tercio_conflicts.state.filters import CLAIM_FIELDS
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import MOST_ITEMS, Blocker, ClaimRow, Terms
from tercio_conflicts.state.things import Thing
from tercio_conflicts.state.tokens import Check
from tercio_conflicts.state.views import ClaimView
from tercio_conflicts.translate.things import thing_message, thing_of

MOST_RENEWED: Final = 10_000
_OWNER: Final = re.compile(r"[A-Za-z0-9._:/@-]{1,200}")
_MAX_PRIORITY: Final = 9
_MAX_TEXT: Final = 256
_TTL_MS: Final = 60_000
_LEAST_TTL_MS: Final = 1_000
_MOST_TTL_MS: Final = 24 * 3_600_000
_MOST_WAIT_MS: Final = 3_600_000


class Asked(NamedTuple):
    """A request to acquire: what to decide, and how long to wait for it in ms."""

    command: Acquire
    wait: int

    @property
    def is_single(self) -> bool:
        """Tell whether all of it is granted or refused, so that a refusal is a status."""
        return len(self.command.things) == 1 or self.command.atomicity is Atomicity.BATCH


class Listing(NamedTuple):
    """What is listed: the size of a page, what is selected, and what it must overlap."""

    size: int
    selected: Filter[ClaimRow]
    overlapping: Thing | None


def asked_of(request: pb.AcquireClaimsRequest) -> Asked:
    """Translate a batch. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    count = len(request.things)
    things = _things(request.things, found)
    modes = _modes(request.modes, count, found)
    _check_owners("owners", request.owners, found, fewest=1)
    found.check("owners", len(request.owners) in {1, count}, f"must have 1 or {count} entries")
    found.check_one_of("atomicity", request.atomicity, (0, *Atomicity))
    ttl = _TTL_MS
    if request.HasField("ttl"):
        ttl = found.check_duration("ttl", request.ttl, least_ms=_LEAST_TTL_MS, most_ms=_MOST_TTL_MS)
    found.check_range("priority", request.priority, least=0, most=_MAX_PRIORITY)
    found.check_length("purpose", request.purpose, most=_MAX_TEXT)
    wait = found.check_duration("wait_timeout", request.wait_timeout, least_ms=0, most_ms=_MOST_WAIT_MS)
    if wait:
        single = count == 1 or (int(request.atomicity) == Atomicity.BATCH and len(set(request.owners)) == 1)
        found.check("wait_timeout", single, "is for one item, or a BATCH of one owner")
    found.raise_if_any()
    command = Acquire(
        things=things,
        modes=modes,
        owners=tuple(request.owners),
        atomicity=Atomicity(request.atomicity or Atomicity.ITEM),
        terms=Terms(request.priority, ttl, request.purpose),
        preempts=request.preempt,
    )
    return Asked(command, wait)


def check_of(request: pb.CheckClaimsRequest) -> tuple[list[Item], int]:
    """Return the items of a dry run, and their priority."""
    found = Violations()
    things, modes = _things(request.things, found), _modes(request.modes, len(request.things), found)
    if request.owner:
        _check_owner("owner", request.owner, found)
    found.check_range("priority", request.priority, least=0, most=_MAX_PRIORITY)
    found.raise_if_any()
    every = modes if len(modes) == len(things) else modes * len(things)
    return [Item(request.owner, thing, mode) for thing, mode in zip(things, every, strict=True)], request.priority


def token_checks_of(request: pb.CheckTokensRequest) -> list[Check]:
    """Return the tokens that are asked about."""
    found = Violations()
    found.check_length("checks", request.checks, least=1, most=MOST_ITEMS, unit="checks")
    checks = []
    for index, each in enumerate(request.checks):
        thing = thing_of(f"checks[{index}].thing", each.thing, found) if each.HasField("thing") else None
        epoch = Epoch(each.token.epoch.generation, each.token.epoch.revision)
        checks.append(Check(each.claim_id, epoch, each.token.number, thing))
    found.raise_if_any()
    return checks


def owners_of(request: pb.RenewClaimsRequest) -> dict[str, int]:
    """Return who is renewed, each with how many claims it must hold at least."""
    found = Violations()
    _check_owners("owners", request.owners, found, most=MOST_RENEWED)
    counts = request.claim_counts or [1] * len(request.owners)
    found.check("claim_counts", len(counts) == len(request.owners), "must be one an owner, or none at all")
    found.raise_if_any()
    return {owner: max(1, count) for owner, count in zip(request.owners, counts, strict=True)}


def release_command(request: pb.ReleaseClaimsRequest) -> Release:
    """Translate a release."""
    found = Violations()
    _check_owners("owners", request.owners, found)
    _check_ids(request.claim_ids, found)
    found.raise_if_any()
    return Release(tuple(request.owners), tuple(request.claim_ids))


def transfer_command(request: pb.TransferClaimsRequest) -> Transfer:
    """Translate a hand-over."""
    found = Violations()
    _check_owner("from_owner", request.from_owner, found)
    _check_owner("to_owner", request.to_owner, found)
    _check_ids(request.claim_ids, found)
    found.raise_if_any()
    return Transfer(from_owner=request.from_owner, to_owner=request.to_owner, numbers=tuple(request.claim_ids))


def request_release_command(request: pb.RequestReleaseRequest) -> RequestRelease:
    """Translate a request to release."""
    found = Violations()
    _check_ids(request.claim_ids, found, fewest=1)
    _check_owner("asked_by", request.asked_by, found)
    found.check_range("priority", request.priority, least=0, most=_MAX_PRIORITY)
    found.check_length("because", request.because, most=_MAX_TEXT)
    found.raise_if_any()
    return RequestRelease(
        numbers=tuple(request.claim_ids),
        asked_by=request.asked_by,
        priority=request.priority,
        because=request.because,
    )


def listing_of(request: pb.ListClaimsRequest) -> Listing:
    """Return what is listed."""
    found = Violations()
    size, selected = page_size_of(request.page_size, found), filter_of(request.expression, CLAIM_FIELDS, found)
    overlapping = None
    if request.HasField("overlapping"):
        overlapping = thing_of("overlapping", request.overlapping, found)
    found.raise_if_any()
    return Listing(size, selected, overlapping)


def watch_filter(request: pb.WatchClaimsRequest) -> Filter[ClaimRow]:
    """Return the filter of a watch."""
    found = Violations()
    selected = filter_of(request.expression, CLAIM_FIELDS, found)
    found.raise_if_any()
    return selected


def claim_message(shown: ClaimView) -> claim_pb2.Claim:
    """Return a claim as the contract has it."""
    row, yields = shown.row, shown.row.yields
    return claim_pb2.Claim(
        claim_id=row.number,
        owner=row.owner,
        thing=thing_message(row.thing),
        mode=_mode_value(row.mode),
        priority=row.terms.priority,
        ttl=duration(row.terms.ttl),
        purpose=row.terms.purpose,
        token=claim_pb2.FencingToken(epoch=epoch_message(row.epoch), number=row.token),
        state=cast("claim_pb2.Claim.State.ValueType", int(shown.state)),
        grant_time=timestamp(row.granted_wall),
        expire_time=timestamp(shown.expires_wall),
        yield_time=timestamp(shown.yields_wall) if yields else None,
        asked_by=yields.asked_by if yields else "",
        asked_because=yields.because if yields else "",
    )


def blocker_messages(blockers: Iterable[Blocker]) -> list[pb.Blocker]:
    """Return what is in the way as the contract has it."""
    return [
        pb.Blocker(claim_id=each.number, owner=each.owner, thing=thing_message(each.thing), mode=_mode_value(each.mode))
        for each in blockers
    ]


def _mode_value(mode: Mode) -> claim_pb2.Claim.Mode.ValueType:
    return cast("claim_pb2.Claim.Mode.ValueType", int(mode))


def _things(given: Sequence[claim_pb2.Thing], found: Violations) -> tuple[Thing, ...]:
    found.check_length("things", given, least=1, most=MOST_ITEMS, unit="things")
    return tuple(thing_of(f"things[{index}]", each, found) for index, each in enumerate(given))


def _modes(given: Sequence[int], count: int, found: Violations) -> tuple[Mode, ...]:
    found.check("modes", len(given) in {1, count}, f"must have 1 or {count} entries")
    known = [found.check_one_of(f"modes[{index}]", mode, tuple(Mode)) for index, mode in enumerate(given)]
    return tuple(map(Mode, given)) if all(known) else ()


def _check_ids(given: Collection[int], found: Violations, *, fewest: int = 0) -> None:
    found.check_length("claim_ids", given, least=fewest, most=MOST_ITEMS, unit="claims")


def _check_owner(field: str, owner: str, found: Violations) -> None:
    found.check_pattern(field, owner, _OWNER)


def _check_owners(
    field: str, owners: Collection[str], found: Violations, *, fewest: int = 0, most: int = MOST_ITEMS
) -> None:
    found.check_length(field, owners, least=fewest, most=most, unit="owners")
    for index, owner in enumerate(owners):
        if _OWNER.fullmatch(owner) is None:
            _check_owner(f"{field}[{index}]", owner, found)
