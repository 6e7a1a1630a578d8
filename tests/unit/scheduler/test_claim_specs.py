"""Claims of tasks: numbered as the conflicts service numbers them, asked for in as few calls as may be."""

from __future__ import annotations

import pytest

from tercio.api.conflicts.v1 import claim_pb2
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio_scheduler.effects.participants import conflicts
from tercio_scheduler.frames import template_message, template_of
from tercio_scheduler.state.participants import CONFLICTS, RESOURCES, asked_for
from tercio_scheduler.state.rows import ClaimSpec as ClaimRow
from tercio_scheduler.state.rows import Needs, Template


def needing(*names: str, priority: int = 5) -> Needs:
    claims = tuple(ClaimRow(ClaimSpec.KIND_FILE, "", name, ClaimSpec.MODE_SHARED) for name in names)
    return Template(task_type="t", priority=priority, claims=claims).needs


def test_kinds_and_modes_are_those_of_the_conflicts_service() -> None:
    assert dict(ClaimSpec.Kind.items()) == dict(claim_pb2.Thing.Kind.items())
    assert dict(ClaimSpec.Mode.items()) == dict(claim_pb2.Claim.Mode.items())


def test_a_claim_without_a_mode_is_exclusive_and_one_that_is_named_twice_is_one() -> None:
    spec = ClaimSpec(kind=ClaimSpec.KIND_GLOB, scope="s", name="src/**")
    template = template_of(task_pb2.TaskTemplate(task_type="t", claims=[spec, spec]))
    assert template.claims == (ClaimRow(ClaimSpec.KIND_GLOB, "s", "src/**", ClaimSpec.MODE_EXCLUSIVE),)
    assert template_of(template_message(template)) == template


def test_claims_are_asked_for_before_resources() -> None:
    both = Template(task_type="t", claims=needing("a").claims, resources=(("cpu", 1),))
    assert asked_for(both.needs) == (CONFLICTS, RESOURCES)
    assert both.holds
    assert Template(task_type="t", claims=needing("a").claims).holds
    assert not Template(task_type="t").holds


def test_a_call_is_of_one_priority_and_of_no_more_items_than_it_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conflicts, "_MOST_ITEMS", 3)
    needs = [needing("a", "b"), needing("c", priority=9), needing("d"), needing("e"), needing("f", "g", "h")]
    assert sorted(conflicts._calls(needs)) == [[0, 2], [1], [3], [4]]
