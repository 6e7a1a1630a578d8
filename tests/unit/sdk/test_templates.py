from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tercio import InvalidRequestError, RetryPolicy
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio.errors import SettingsError
from tercio.templates import Templates, template_of
from tercio.things import TaskClaim


def test_the_same_options_give_the_same_template() -> None:
    templates = Templates()
    assert templates.get("a", {}) is templates.get("a", {})
    assert templates.get("a", {"priority": 1}) is templates.get("a", {"priority": 1})
    assert templates.get("a", {"requires": {"x": 1}}) is templates.get("a", {"requires": {"x": 1}})
    assert templates.get("a", {}) is not templates.get("b", {})
    assert templates.get("a", {"requires": {"x": 1}}) is not templates.get("a", {"requires": {"x": 2}})


def test_options_become_the_contract_s_fields() -> None:
    template = template_of(
        "a",
        {
            "priority": 0,
            "attempt_timeout": timedelta(milliseconds=1_500),
            "deadline": datetime(2030, 1, 1, tzinfo=UTC),
            "retry": RetryPolicy(max_attempts=5, multiplier=1.5),
            "labels": {"team": "x"},
        },
    )
    assert template.HasField("priority")
    assert template.attempt_timeout.ToMilliseconds() == 1_500
    assert template.deadline.ToDatetime(tzinfo=UTC) == datetime(2030, 1, 1, tzinfo=UTC)
    assert (template.retry.max_attempts, template.retry.multiplier_permille) == (5, 1_500)
    assert dict(template.labels) == {"team": "x"}


def test_claims_are_files_or_globs_to_edit_unless_they_say_more() -> None:
    claims = ("src/a.py", "docs/**", TaskClaim("main", "shared", "repo", "branch"))
    template = template_of("a", {"claims": claims})
    assert list(template.claims) == [
        ClaimSpec(kind=ClaimSpec.KIND_FILE, name="src/a.py", mode=ClaimSpec.MODE_EXCLUSIVE),
        ClaimSpec(kind=ClaimSpec.KIND_GLOB, name="docs/**", mode=ClaimSpec.MODE_EXCLUSIVE),
        ClaimSpec(kind=ClaimSpec.KIND_BRANCH, scope="repo", name="main", mode=ClaimSpec.MODE_SHARED),
    ]


@pytest.mark.parametrize(
    "claim",
    [TaskClaim("a", kind="folder"), TaskClaim("a", mode="own")],
    ids=["kind", "mode"],  # type: ignore[arg-type]
)
def test_a_claim_of_a_kind_or_mode_that_there_is_not_is_refused(claim: TaskClaim) -> None:
    with pytest.raises(SettingsError, match="choose from"):
        template_of("a", {"claims": [claim]})


def test_a_task_without_options_leaves_them_to_the_scheduler() -> None:
    assert [field.name for field, _ in template_of("a", {}).ListFields()] == ["task_type"]


def test_every_fault_is_named() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        template_of("no spaces", {"priority": 10, "deadline": datetime(2030, 1, 1), "wrong": 1})  # noqa: DTZ001
    assert [violation.field for violation in caught.value.violations] == ["task_type", "priority", "deadline", "wrong"]
