"""What a chaos run came to: per promise, whether it held and on what it was tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tercio_common.testing.history import Verdict, Violation
from tercio_common.testing.history.facts import ENDS_ATTEMPT, Kind

PROMISES: Final = {
    "G1": "what was accepted ends, or stays visible",
    "G2": "one result is recorded",
    "G3": "one leader's writes commit",
    "G4": "no pool is over-granted",
    "G5": "no two hold what is incompatible",
    "G6": "an attempt, a grant ends once",
    "G7": "who is shown healthy has renewed",
    "G8": "a retry has no second effect",
    "G9": "a poison task stops",
    "G10": "watches are gapless",
    "G11": "agents stay within bounds",
}
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What a run did, counted where it was seen.

    Attributes:
        acknowledged: tasks that a client was told are accepted.
        ended: how many of them it was told ended in each state.
        watched: changes that the watch showed.
        resumed: how often it had to resume.
        same_requests: requests that were sent from 32 tasks at once.
        of_parts: what promises were tried on with other services than the scheduler.
    """

    acknowledged: int = 0
    ended: Mapping[str, int]
    watched: int = 0
    resumed: int = 0
    same_requests: int = 0
    of_parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromiseReport:
    """One promise.

    Attributes:
        promise: as in docs/guarantees.md.
        text: in a few words.
        tried_on: what the run had to say about it.
        violations: empty when it held.
    """

    promise: str
    text: str
    tried_on: str
    violations: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run.

    Attributes:
        seed: of the run.
        faults: how many of each kind were injected.
        tried: what the run did.
        promises: each with its verdict.
        troubles: what is no promise and must not be all the same: a process that ended by itself, work that did not
            come to rest, a recording with a gap.
    """

    seed: int
    faults: Mapping[str, int]
    tried: Tried
    promises: tuple[PromiseReport, ...]
    troubles: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """True when every promise held and there was no trouble."""
        return not self.troubles and not any(one.violations for one in self.promises)

    def demand(self) -> Report:
        """Return itself, or raise AssertionError with everything that is wrong."""
        wrong = [*self.troubles, *(f"{one.promise}: {text}" for one in self.promises for text in one.violations)]
        if wrong:
            shown = "\n  ".join(wrong[:_SHOWN])
            raise AssertionError(f"{len(wrong)} things are wrong after seed {self.seed}:\n  {shown}")
        return self

    def broken(self) -> set[str]:
        """Return the promises that were broken."""
        return {one.promise for one in self.promises if one.violations}

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "seed": self.seed,
            "holds": self.holds,
            "faults": dict(self.faults),
            "tasks": {"acknowledged": self.tried.acknowledged, **self.tried.ended},
            "promises": [
                {
                    "promise": one.promise,
                    "text": one.text,
                    "holds": not one.violations,
                    "tried_on": one.tried_on,
                    "violations": list(one.violations),
                }
                for one in self.promises
            ],
            "troubles": list(self.troubles),
        }


def report_of(
    verdict: Verdict | None,
    *,
    seed: int,
    faults: Mapping[str, int],
    tried: Tried,
    complaints: Sequence[Violation],
    troubles: Sequence[str],
) -> Report:
    """Put a report together; without a verdict no promise is told to have held."""
    violations = [*(verdict.violations if verdict else ()), *complaints]
    tried_on = _tried_on(verdict, tried) if verdict else {}
    promises = [
        PromiseReport(
            promise=name,
            text=text,
            tried_on=tried_on.get(name, ""),
            violations=tuple(str(one) for one in violations if one.promise == name) if verdict else ("no verdict",),
        )
        for name, text in PROMISES.items()
    ]
    return Report(seed=seed, faults=faults, tried=tried, promises=tuple(promises), troubles=tuple(troubles))


def _tried_on(verdict: Verdict, tried: Tried) -> dict[str, str]:
    kinds: Counter[Kind] = verdict.kinds
    own = {
        "G1": f"{tried.acknowledged} acknowledged tasks",
        "G2": f"{kinds[Kind.SUCCEEDED]} results of {kinds[Kind.OFFERED]} attempts",
        "G3": f"{verdict.records} records of {verdict.epochs} leaders",
        "G6": f"{sum(kinds[kind] for kind in ENDS_ATTEMPT)} ends of attempts",
        "G8": f"{tried.same_requests} requests × 32",
        "G9": f"{tried.ended.get('DEAD_LETTER', 0)} dead letters",
        "G10": f"{tried.watched} changes, resumed {tried.resumed} times",
    }
    return {name: ", ".join(filter(None, (own.get(name), tried.of_parts.get(name)))) for name in PROMISES}
