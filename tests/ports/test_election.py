"""Every election keeps the promises of the port."""

from __future__ import annotations

from tercio_common.testing.election_suite import ElectionSuite


class TestElection(ElectionSuite):
    pass
