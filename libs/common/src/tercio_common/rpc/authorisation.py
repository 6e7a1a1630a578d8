"""Who may call what: one table over every method, and what is not in it is denied."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from tercio_common.errors import Refusal

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Rule(enum.Enum):
    """What a caller needs for a method."""

    ANY_PRINCIPAL = "any principal"
    """Any identity will do."""
    REPLICA = "replica"
    """Only a process of the fleet itself, not somebody that it speaks for."""


class Authorisation:
    """The rows of every service in one table."""

    def __init__(self, tables: Iterable[Mapping[str, Rule]]) -> None:
        """Collect the tables.

        Raises:
            ValueError: two services have a row for the same method.
        """
        self._rules = {REFLECTION: Rule.ANY_PRINCIPAL}
        for table in tables:
            for method, rule in table.items():
                if method in self._rules:
                    raise ValueError(f"{method} has two authorisation rows")
                self._rules[method] = rule

    def check(self, method: str, *, principal: str, replica: bool) -> None:
        """Return if the caller may call `method`.

        Raises:
            Refusal: PERMISSION_DENIED.
        """
        rule = self._rules.get(method)
        if rule is Rule.ANY_PRINCIPAL or (rule is Rule.REPLICA and replica):
            return
        needs = f"is for {rule.value} only" if rule else "has no authorisation row"
        raise Refusal("PERMISSION_DENIED", f"{principal!r} may not call {method}: it {needs}")
