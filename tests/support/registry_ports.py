"""Ports of the registry with effects outside: ledgers in files, which outlive the process as a real service would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tercio_registry.ports import Applicant, Clearance, Credential, Outside

SECRET_OF = "the secret of registration"
EXPIRES = 1_800_000_000_123
"""Wall time in ms."""


class Ledger:
    """One line for each registration that holds something. `fail` is called in the worst moment, and may raise."""

    outside = True

    def __init__(self, path: Path, *, fail: Callable[[str], None] = lambda _what: None) -> None:
        self._path, self.fail = path, fail
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        self._path.touch()

    def entries(self) -> list[str]:
        return self._path.read_text().split()

    async def clear(self, applicant: Applicant) -> Clearance:
        """Clear everybody, and issue a credential whose secret nobody could guess."""
        name = applicant.registration_id
        issued = Credential(
            credential_id=name, kind="token", secret=f"{SECRET_OF} {name}".encode(), expires_wall=EXPIRES
        )
        return Clearance(self._add("clear", applicant), (issued,))

    async def reserve(self, applicant: Applicant) -> str:
        done = self._add("reserve", applicant)
        self.asked.set()
        await self.may_answer.wait()
        return done

    async def revoke(self, registration_id: str) -> None:
        self._remove("revoke", registration_id)

    async def release(self, registration_id: str) -> None:
        self._remove("release", registration_id)

    def _add(self, what: str, applicant: Applicant) -> str:
        self._write([*self.entries(), applicant.registration_id])
        self.fail(what)  # it is done, and nobody was told
        return f"{what} is in the ledger"

    def _remove(self, what: str, registration_id: str) -> None:
        self.fail(what)
        self._write([each for each in self.entries() if each != registration_id])

    def _write(self, entries: list[str]) -> None:
        self._path.write_text("\n".join(entries))


class Ledgers:
    """Both ports of a registry."""

    def __init__(self, folder: Path, *, fail: Callable[[str], None] = lambda _what: None) -> None:
        self.clearances = Ledger(folder / "clearances", fail=fail)
        self.reservations = Ledger(folder / "reservations", fail=fail)

    @property
    def outside(self) -> Outside:
        return Outside(self.clearances, self.reservations)

    def entries(self) -> tuple[list[str], list[str]]:
        return self.clearances.entries(), self.reservations.entries()

    def fail_with(self, error: Exception, *, at: str) -> None:
        """Raise `error` wherever `at` is called."""

        def fail(what: str) -> None:
            if what == at:
                raise error

        self.clearances.fail = self.reservations.fail = fail
