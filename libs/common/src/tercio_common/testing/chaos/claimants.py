"""Clients that claim files and folders, write under their tokens, and sleep over their leases now and then.

The files are written through a guard, as a real one would be: it asks whether the token is current, and remembers the
highest one that has written.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from google.protobuf.duration_pb2 import Duration

from tercio import things
from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.requests import new_request_id
from tercio.rpc.errors import CallError, ConflictError, ExhaustedError, NotFoundError
from tercio.rpc.remote import Remote
from tercio_common.testing.history import FENCED, HELD, RELEASED, Observation, Verdict, Violation

if TYPE_CHECKING:
    from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceAsyncStub

SETTINGS: Final = {"TERCIO_CONFLICTS__GRACE_MS": "500", "TERCIO_CONFLICTS__DETECT_MS": "200"}
FOLDERS: Final = 4
_SCOPE: Final = "/repository/.git"
_EXCLUSIVE: Final = claim_pb2.Claim.MODE_EXCLUSIVE
_MODES: Final = (_EXCLUSIVE, _EXCLUSIVE, claim_pb2.Claim.MODE_SHARED, claim_pb2.Claim.MODE_INTENT)
_TTL: Final = Duration(seconds=1)
_OVERSLEEPS_S: Final = 2.5
"""Longer than the TTL, the grace, and a leader's second between two looks."""
_WAIT: Final = Duration(seconds=2)
_TIMEOUT_S: Final = 60.0
_PAUSE_S: Final = 0.05


class Claimants:
    """Many clients of one service."""

    def __init__(
        self, remote: Remote[ClaimServiceAsyncStub], observe: Callable[[Observation], None], *, seed: int
    ) -> None:
        """Call through `remote`; what clients are told goes to `observe`."""
        self._remote, self._observe = remote, observe
        self._random = random.Random(seed)
        self._stopping = False
        self.granted = 0
        self.rounds = self.victims = self.refused_writes = 0
        self.late_writes: list[str] = []
        """Writes that the guard let through although a higher token had written before it asked."""
        self._highest: dict[str, int] = {}

    async def run(self, clients: int, rounds: int) -> None:
        """Let every client claim something that many times."""
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._claim(client, rounds))

    async def keep_on(self, clients: int) -> None:
        """Let every client claim something until `stop`; what a failed call did is left to its lease."""
        async with asyncio.TaskGroup() as group:
            for client in range(clients):
                group.create_task(self._keep_claiming(client))

    def stop(self) -> None:
        """Let every client end after what it does at present."""
        self._stopping = True

    def seen_broken(self) -> Sequence[Violation]:
        """See `Contenders`."""
        return [Violation("G5", "Claimants", text) for text in self.late_writes]

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        """See `Contenders`."""
        return {
            "G5": f"{self.granted} claims at {verdict.epochs} leaders, {self.refused_writes} late writes",
            "G6": f"{self.granted} claims",
        }

    async def is_quiet(self) -> bool:
        """Tell whether everything was released."""
        request = pb.ListClaimsRequest(page_size=1)
        return not (await self._remote.unary(lambda stub: stub.ListClaims, request, timeout_s=_TIMEOUT_S)).claims

    async def _claim(self, client: int, rounds: int) -> None:
        for number in range(rounds):
            await self._claim_once(f"client-{client}/{number}")

    async def _keep_claiming(self, client: int) -> None:
        number = 0
        while not self._stopping:
            number += 1
            try:
                await self._claim_once(f"claimant-{client}/{number}")
            except CallError:
                await asyncio.sleep(_PAUSE_S)

    async def _claim_once(self, owner: str) -> None:
        try:
            held = await self._ask(owner)
            await self._work(owner, *held)
        except ConflictError as error:
            self.victims += error.reason == "DEADLOCK_VICTIM"
            await self._release(owners=[owner])
        except ExhaustedError:
            pass
        self.rounds += 1

    async def _ask(self, owner: str) -> tuple[int, str]:
        """Claim one file, and often a second one while the first is held: that is how deadlocks come about."""
        folder, mode = self._random.randrange(FOLDERS), self._random.choice(_MODES)
        claimed = [_file(f"{folder}/a")]
        if self._random.random() < 0.2:
            claimed = [things.thing(f"{folder}/**", scope=_SCOPE)]
        first = await self._acquire(owner, claimed, mode)
        if self._random.random() < 0.5:
            await self._acquire(owner, [_file(f"{self._random.randrange(FOLDERS)}/a")], _EXCLUSIVE)
        return first, f"{folder}/a" if mode == _EXCLUSIVE else ""

    async def _acquire(self, owner: str, claimed: list[claim_pb2.Thing], mode: claim_pb2.Claim.Mode.ValueType) -> int:
        request = pb.AcquireClaimsRequest(
            request_id=new_request_id(),
            things=claimed,
            modes=[mode],
            owners=[owner],
            atomicity=pb.AcquireClaimsRequest.ATOMICITY_BATCH,
            ttl=_TTL,
            wait_timeout=_WAIT,
        )
        response = await self._remote.unary(lambda stub: stub.AcquireClaims, request, timeout_s=_TIMEOUT_S)
        self.granted += len(response.claim_ids)
        for number in response.claim_ids:
            self._observe(Observation(HELD, str(number), owner))
            self._observe(Observation(FENCED, str(number), owner, seq=number))
        return response.claim_ids[0]

    async def _work(self, owner: str, number: int, path: str) -> None:
        """Write, hand over, sleep for too long, and give back twice or never."""
        chance = self._random.random()
        token = await self._token(number)
        if path and token is not None:
            await self._write(number, token, path)
            if chance < 0.05:
                await asyncio.sleep(_OVERSLEEPS_S)
                await self._write(number, token, path)
                return
        if chance < 0.2:
            with contextlib.suppress(NotFoundError):  # its lease ended before it could
                owner = await self._hand_over(owner, number)
        if chance < 0.9:
            await self._give_back(owner, number)
            await self._give_back(owner, number)

    async def _token(self, number: int) -> claim_pb2.FencingToken | None:
        request = pb.ListClaimsRequest(expression=f"id = {number}")
        found = (await self._remote.unary(lambda stub: stub.ListClaims, request, timeout_s=_TIMEOUT_S)).claims
        return found[0].token if found else None

    async def _write(self, number: int, token: claim_pb2.FencingToken, path: str) -> None:
        highest = self._highest.get(path, 0)
        check = pb.CheckTokensRequest.Check(claim_id=number, token=token, thing=_file(path))
        request = pb.CheckTokensRequest(checks=[check])
        reply = await self._remote.unary(lambda stub: stub.CheckTokens, request, timeout_s=_TIMEOUT_S)
        if reply.verdicts[0] != pb.CheckTokensResponse.VERDICT_CURRENT:
            self.refused_writes += 1
        elif token.number < highest:
            self.late_writes.append(f"token {token.number} wrote {path} after {highest}")
        self._highest[path] = max(self._highest.get(path, 0), token.number if reply.verdicts[0] == 1 else 0)

    async def _hand_over(self, owner: str, number: int) -> str:
        taker = f"{owner}/taker"
        request = pb.TransferClaimsRequest(request_id=new_request_id(), from_owner=owner, to_owner=taker)
        response = await self._remote.unary(lambda stub: stub.TransferClaims, request, timeout_s=_TIMEOUT_S)
        for claim in response.claims:
            self._observe(Observation(FENCED, str(claim.claim_id), taker, seq=claim.token.number))
        return taker

    async def _give_back(self, owner: str, number: int) -> None:
        await self._release(claim_ids=[number])
        self._observe(Observation(RELEASED, str(number)))
        await self._release(owners=[owner])

    async def _release(self, *, owners: list[str] | None = None, claim_ids: list[int] | None = None) -> None:
        request = pb.ReleaseClaimsRequest(request_id=new_request_id(), owners=owners, claim_ids=claim_ids)
        await self._remote.unary(lambda stub: stub.ReleaseClaims, request, timeout_s=_TIMEOUT_S)


def _file(path: str) -> claim_pb2.Thing:
    return things.thing(path, scope=_SCOPE)
