"""`python -m benchmarks.claims`: how fast files are claimed and released, durably, among ten thousand live claims.

Batches of 100 are claimed and then released, several under way at once; then single claims at an even pace. Meanwhile
ten thousand other claims are held on files and globs of the same repository. One etcd with its default fsync, one
server, and this process as the client.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from benchmarks.pairs import Calls, request_id, run
from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.conflicts.v1 import claim_service_pb2 as pb
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub

_SCOPE: Final = "/home/team/repository/.git"
_HOLDERS: Final = 100
_FILES_EACH: Final = 95
_GLOBS_EACH: Final = 5
_TTL: Final = Duration(seconds=3_600)


class Claims(Calls):
    """On files in a folder of their own."""

    noun = "claim"
    module = "tercio_conflicts"
    stub = ClaimServiceStub

    async def prepare(self, stub: Any) -> None:
        """Hold ten thousand claims: files in folders of 95, and globs over folders and over the whole tree."""
        for holder in range(_HOLDERS):
            names = [f"src/package{holder}/module{number}.py" for number in range(_FILES_EACH)]
            globs = [f"docs/{holder}-{number}/**/*.md" for number in range(_GLOBS_EACH - 1)]
            globs.append(f"**/generated{holder}_*.txt")
            things = [_thing(name) for name in names]
            things += [_thing(name, claim_pb2.Thing.KIND_GLOB) for name in globs]
            await _acquire(stub, f"holder-{holder}", things)

    async def grant(self, stub: Any, name: str, count: int) -> list[int]:
        return await _acquire(stub, name, [_thing(f"src/{name}/file{number}.py") for number in range(count)])

    async def release(self, stub: Any, numbers: list[int]) -> int:
        request = pb.ReleaseClaimsRequest(request_id=request_id(), claim_ids=numbers)
        return int((await stub.ReleaseClaims(request)).released_count)


async def _acquire(stub: Any, owner: str, things: list[claim_pb2.Thing]) -> list[int]:
    request = pb.AcquireClaimsRequest(
        request_id=request_id(), things=things, modes=[claim_pb2.Claim.MODE_EXCLUSIVE], owners=[owner], ttl=_TTL
    )
    return list((await stub.AcquireClaims(request)).claim_ids)


def _thing(name: str, kind: claim_pb2.Thing.Kind.ValueType = claim_pb2.Thing.KIND_FILE) -> claim_pb2.Thing:
    return claim_pb2.Thing(kind=kind, scope=_SCOPE, name=name)


if __name__ == "__main__":
    sys.exit(run(Claims(), "python -m benchmarks.claims", __doc__))
