"""`python -m benchmarks.resources`: how fast parts of a pool are granted and released, each durable in etcd.

Batches of 100 are granted and then released, several under way at once; then single allocations at an even pace. One
etcd with its default fsync, one server, and this process as the client.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from benchmarks.pairs import Calls, request_id, run
from tercio.api.resources.v1 import allocation_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount

_SPEC: Final = allocation_pb2.AllocationSpec(amounts=[ResourceAmount(dimension="cpu", amount=1)])


class Allocations(Calls):
    """Of one millicore each."""

    noun = "allocation"
    module = "tercio_resources"
    stub = ResourceServiceStub

    async def prepare(self, stub: Any) -> None:
        """The pool that is shipped is large enough."""

    async def grant(self, stub: Any, name: str, count: int) -> list[int]:
        owners = [f"{name}/{number}" for number in range(count)]
        request = pb.AllocateRequest(request_id=request_id(), specs=[_SPEC], owners=owners)
        return list((await stub.Allocate(request)).allocation_ids)

    async def release(self, stub: Any, numbers: list[int]) -> int:
        request = pb.ReleaseRequest(request_id=request_id(), allocation_ids=numbers)
        return int((await stub.Release(request)).released_count)


if __name__ == "__main__":
    sys.exit(run(Allocations(), "python -m benchmarks.resources", __doc__))
