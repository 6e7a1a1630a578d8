"""Plan files: short forms, defaults, and every mistake at once."""

from __future__ import annotations

import json

import pytest

from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio.cli.plan_files import PlanFileError, parse_plan

PLAN = """
plan_id: nightly
defaults:
  deadline_in: 10m
  labels: {team: a}
  env: {A: "1"}
  retry: {max_attempts: 2, initial_backoff: 200ms, multiplier: 1.5}
tasks:
  - task_id: build
    run: make 'a wheel'
    required_capabilities: {python: 50}
    priority: 0
    labels: {kind: build}
    env: {B: "2"}
    cwd: libs
  - task_id: publish
    task_type: notify
    depends_on: [build]
    payload: {channel: stable}
    attempt_timeout: 90s
"""


def test_a_plan_is_read_with_its_defaults() -> None:
    plan = parse_plan(PLAN)
    build, publish = plan.tasks
    assert plan.plan_id == "nightly"
    assert json.loads(build.payload) == {"argv": ["make", "a wheel"], "cwd": "libs", "env": {"A": "1", "B": "2"}}
    assert build.template.task_type == "command"
    assert build.template.HasField("priority")
    assert build.template.priority == 0
    assert dict(build.template.labels) == {"team": "a", "kind": "build"}
    assert build.template.deadline_in.seconds == 600
    assert build.template.retry.max_attempts == 2
    assert build.template.retry.multiplier_permille == 1500
    assert build.template.retry.initial_backoff.ToMilliseconds() == 200
    assert list(publish.depends_on) == ["build"]
    assert publish.template.task_type == "notify"
    assert not publish.template.HasField("priority")
    assert publish.template.attempt_timeout.seconds == 90
    assert json.loads(publish.payload) == {"channel": "stable"}


MISTAKES = [
    ("tasks: []", "at least one task"),
    ("[1]", "expected a mapping"),
    ("tasks: [{task_id: a, run: x, proirity: 3}]", "unknown proirity"),
    ("tasks: [{task_id: a}]", "task_type is missing"),
    ("tasks: [{task_id: a, run: x, payload: 1}]", "either run or payload"),
    ("tasks: [{task_id: a, run: x, priority: 10}]", "0 to 9"),
    ("tasks: [{task_id: a, run: x, priority: true}]", "0 to 9"),
    ("tasks: [{task_id: a, run: x, deadline_in: soon}]", "not a duration"),
    ("tasks: [{task_id: a, run: x, depends_on: b}]", "list of task ids"),
    ("tasks: [{task_id: a, run: ''}]", "command is missing"),
    ("tasks: [{task_id: a, run: x, required_capabilities: {gpu: high}}]", "whole number"),
    ("tasks: [{task_id: a, run: x, retry: {max: 3}}]", "unknown max"),
    ("defaults: {task_id: x}\ntasks: [{run: x}]", "defaults: unknown task_id"),
    ("tasks: [{run: x, claims: src}]", "list of paths and globs"),
    ("tasks: [{run: x, claims: [{name: a, mode: own}]}]", "there is no mode"),
    ("a: [", "not YAML"),
]


def test_a_task_says_what_it_claims() -> None:
    text = "tasks: [{task_type: t, claims: [src/**, {name: main, kind: branch, mode: shared, scope: r}]}]"
    glob, branch = parse_plan(text).tasks[0].template.claims
    assert (glob.kind, glob.name, glob.mode) == (ClaimSpec.KIND_GLOB, "src/**", ClaimSpec.MODE_EXCLUSIVE)
    assert (branch.kind, branch.scope, branch.mode) == (ClaimSpec.KIND_BRANCH, "r", ClaimSpec.MODE_SHARED)


@pytest.mark.parametrize(("text", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_named(text: str, said: str) -> None:
    with pytest.raises(PlanFileError, match=said):
        parse_plan(text)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(PlanFileError) as caught:
        parse_plan("tasks: [{task_id: a, run: x, priority: 99}, {task_id: b}]")
    assert "task a: priority" in str(caught.value)
    assert "task b: task_type" in str(caught.value)
