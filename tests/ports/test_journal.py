"""Every journal keeps the promises of the port."""

from __future__ import annotations

from tercio_common.testing.journal_suite import JournalSuite


class TestJournal(JournalSuite):
    pass
