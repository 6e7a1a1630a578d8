"""The catalogue of reasons: which gRPC code each has, whether the same request may be sent again, and what it means.

A reason is a value of `tercio.api.type.v1.ErrorReason` without its prefix. Codes follow AIP-193: INVALID_ARGUMENT is
wrong whatever the state, FAILED_PRECONDITION is wrong in this state, UNAVAILABLE and RESOURCE_EXHAUSTED pass by
themselves. A reason is never renamed, reused, or moved to another code.
"""

from __future__ import annotations

from typing import NamedTuple

from grpc import StatusCode

DOMAIN = "tercio.dev"
"""`google.rpc.ErrorInfo.domain` of every reason."""


class Reason(NamedTuple):
    """One row of the catalogue.

    Attributes:
        code: the gRPC status code.
        retryable: the same request, sent again later, may succeed.
        description: what happened and what the caller does about it.
    """

    code: StatusCode
    retryable: bool
    description: str


_INVALID, _PRECONDITION = StatusCode.INVALID_ARGUMENT, StatusCode.FAILED_PRECONDITION
_UNAVAILABLE, _EXHAUSTED = StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED

REASONS: dict[str, Reason] = {
    "INVALID_ARGUMENT": Reason(_INVALID, False, "Fields are wrong; BadRequest lists every one of them."),
    "INTERNAL": Reason(StatusCode.INTERNAL, False, "The server has a defect; its log has the trace id."),
    "UNAUTHENTICATED": Reason(StatusCode.UNAUTHENTICATED, False, "The caller proved no identity."),
    "PERMISSION_DENIED": Reason(StatusCode.PERMISSION_DENIED, False, "The caller may not call this method."),
    "NOT_LEADER": Reason(_UNAVAILABLE, True, "Another replica leads; metadata `leader` has its address. Call it."),
    "NO_LEADER": Reason(_UNAVAILABLE, True, "Nobody leads at present; retry after a moment."),
    "OUTCOME_UNKNOWN": Reason(
        _UNAVAILABLE, True, "The leader was lost before the answer; retry with the same request id."
    ),
    "DRAINING": Reason(_UNAVAILABLE, True, "This replica is stopping; retry, and another one answers."),
    "REQUEST_TOO_LARGE": Reason(_INVALID, False, "More than one commit or decision can hold; split the request."),
    "REQUEST_TOO_OLD": Reason(
        _PRECONDITION, False, "Its request id may be forgotten; look whether it was done, then send it with a new id."
    ),
    "REQUEST_ID_REUSED": Reason(_PRECONDITION, False, "The id belongs to a request with other content; use a new id."),
    "REQUEST_IDS_FULL": Reason(_EXHAUSTED, True, "No further request ids can be remembered now; retry later."),
    "SESSION_EXPIRED": Reason(_PRECONDITION, False, "Open a new session and send again what was not acknowledged."),
    "FRAME_OUT_OF_ORDER": Reason(_PRECONDITION, False, "Send the frame that metadata `expectedFrame` names."),
    "CURSOR_COMPACTED": Reason(StatusCode.OUT_OF_RANGE, False, "The changes are gone; list again, watch from there."),
    "CURSOR_INVALID": Reason(_INVALID, False, "Not a cursor or page token of this method; list again."),
    "READER_TOO_SLOW": Reason(StatusCode.ABORTED, True, "The reader fell behind; resume from the last cursor."),
    "STORE_NEARLY_FULL": Reason(_EXHAUSTED, True, "The store takes no new work until space is freed; retry later."),
    "STALE_EPOCH": Reason(_PRECONDITION, False, "The caller's leadership is over; it steps down."),
    "DEADLINE_TOO_SHORT": Reason(StatusCode.DEADLINE_EXCEEDED, False, "Nothing was tried; allow more time."),
    "FORWARDING_LOOP": Reason(_UNAVAILABLE, True, "The replicas do not agree on the leader yet; retry."),
    "QUEUE_FULL": Reason(_EXHAUSTED, True, "The service holds as much as it may; retry when work has finished."),
    "OVERLOADED": Reason(_EXHAUSTED, True, "Too many calls at once; nothing was tried, retry later."),
    "AGENT_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No agent with this id is registered."),
    "AGENT_IMPOSTOR": Reason(StatusCode.PERMISSION_DENIED, False, "The id belongs to a living agent; use another."),
    "AGENT_REPLACED": Reason(_PRECONDITION, False, "A newer process of this agent has registered; stop this one."),
    "AGENT_GONE": Reason(_PRECONDITION, False, "The agent was declared gone; register again."),
    "AGENT_NOT_ACTIVE": Reason(_PRECONDITION, False, "The agent's state does not allow it."),
    "INVALID_SPECIFICATION": Reason(_INVALID, False, "The agent has wrong fields; BadRequest lists every one of them."),
    "SECURITY_CLEARANCE_DENIED": Reason(
        StatusCode.PERMISSION_DENIED, False, "The agent was not cleared; metadata `issues` says why."
    ),
    "RESOURCE_ALLOCATION_FAILED": Reason(
        _EXHAUSTED, True, "What the agent requires is not free; retry later, or ask for less."
    ),
    "REGISTRATION_EXCEPTION": Reason(StatusCode.INTERNAL, False, "A phase failed unexpectedly; the report names it."),
    "DEREGISTRATION_EXCEPTION": Reason(StatusCode.INTERNAL, False, "The agent could not be removed; it is as it was."),
    "INVALID_CONFIGURATION": Reason(_INVALID, False, "It does not conform to the schema; BadRequest says where."),
    "CONFIGURATION_CONFLICT": Reason(_PRECONDITION, False, "Another change is under way or was made; look first."),
    "CONFIGURATION_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No such revision or schema is kept."),
    "CONFIGURATION_APPLY_FAILED": Reason(_PRECONDITION, False, "The agent did not take it; the backup is back."),
    "POST_UPDATE_VALIDATION_FAILED": Reason(_PRECONDITION, False, "The agent runs something else; the backup is back."),
    "CONFIG_REGRESSION": Reason(_PRECONDITION, False, "The agent got worse with it; the backup is back."),
    "CONFIGURATION_UPDATE_EXCEPTION": Reason(
        StatusCode.INTERNAL, False, "It failed unexpectedly; look what is active."
    ),
    "ROLLOUT_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No roll-out with this id is kept."),
    "ROLLOUT_STATE_CONFLICT": Reason(_PRECONDITION, False, "The roll-out's state does not allow it."),
    "ROLLOUT_ROLLED_BACK": Reason(_PRECONDITION, False, "Its roll-out was rolled back; the backup is back."),
    "TASK_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No task with this id is kept."),
    "TASK_ID_REUSED": Reason(StatusCode.ALREADY_EXISTS, False, "The id belongs to another task; use a new id."),
    "TASK_STATE_CONFLICT": Reason(_PRECONDITION, False, "The task's state does not allow it."),
    "INSUFFICIENT_AGENT_CAPABILITY": Reason(_PRECONDITION, False, "No connected agent can do it; metadata says why."),
    "STALE_ATTEMPT": Reason(_PRECONDITION, False, "Another attempt is the task's present one; drop this result."),
    "PAYLOAD_TOO_LARGE": Reason(_INVALID, False, "Over 64 kB; store it elsewhere and pass a reference."),
    "DEPENDENCY_CYCLE": Reason(_INVALID, False, "Tasks depend on each other in a cycle; metadata `cycle` names it."),
    "DEPENDENCY_UNKNOWN": Reason(_PRECONDITION, False, "A task that is depended on is not known; submit it first."),
    "PLAN_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No plan with this id is kept."),
    "PLAN_ID_REUSED": Reason(StatusCode.ALREADY_EXISTS, False, "The id belongs to another plan; use a new id."),
    "STREAM_REPLACED": Reason(StatusCode.ABORTED, False, "A newer stream of the same agent took over."),
    "DEADLINE_PASSED": Reason(_PRECONDITION, False, "The task's deadline is in the past; choose a later one."),
    "INSUFFICIENT_RESOURCES": Reason(_EXHAUSTED, True, "Not free now; metadata names the gap. Retry later, or wait."),
    "RESOURCE_LIMIT_EXCEEDED": Reason(_PRECONDITION, False, "More than may ever be granted to one; ask for less."),
    "OWNER_RELEASED": Reason(_PRECONDITION, False, "The owner was released and gets nothing more; use another one."),
    "ALLOCATION_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No allocation with this id is held."),
    "POOL_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No such pool; list them, or create one."),
    "POOL_EXISTS": Reason(StatusCode.ALREADY_EXISTS, False, "The id belongs to another pool; use a new id."),
    "POOL_IN_USE": Reason(_PRECONDITION, False, "Something of it is granted; fence it and wait until it is released."),
    "UNIT_MISMATCH": Reason(_PRECONDITION, False, "The dimension counts in another unit; metadata `unit` names it."),
    "QUOTA_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "The tenant has no quota."),
    "BUDGET_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No such budget; list them, or create one."),
    "BUDGET_EXISTS": Reason(StatusCode.ALREADY_EXISTS, False, "The id belongs to another budget; use a new id."),
    "BUDGET_IN_USE": Reason(_PRECONDITION, False, "Some of it is leased, or a budget is below it; end that first."),
    "BUDGET_TOO_DEEP": Reason(_PRECONDITION, False, "Budgets have four levels; choose a parent that is higher up."),
    "BUDGET_SPENT": Reason(_PRECONDITION, False, "A cost limit is reached; raise it."),
    "REPOSITORY_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No such git repository or commit on that machine."),
    "WORKTREE_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No such worktree; list them."),
    "WORKTREE_IN_USE": Reason(_PRECONDITION, False, "Somebody has it, or it is being removed; release it first."),
    "RESOURCE_ALLOCATION_EXCEPTION": Reason(
        StatusCode.INTERNAL, False, "An installed strategy failed while it was used; set another one."
    ),
    "STRATEGY_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No strategy of that name is installed; list them."),
    "RESERVATION_NOT_DUE": Reason(_PRECONDITION, False, "Claim a reservation from its start on, and in time."),
    "RESERVATION_CLAIMED": Reason(_PRECONDITION, False, "It was claimed; metadata `allocation` names the grant."),
    "RESERVATION_NOT_FOUND": Reason(
        StatusCode.NOT_FOUND, False, "No such reservation for this owner: it ended, or never was."
    ),
    "COST_LIMIT_REACHED": Reason(_PRECONDITION, False, "A tenant, owner or type of tasks costs its limit; raise it."),
    "AGENT_LIMIT_REACHED": Reason(
        _EXHAUSTED, True, "The fleet has as many agents as it may; metadata names the gap. Retry when one has left."
    ),
    "CLAIM_CONFLICT": Reason(StatusCode.ABORTED, True, "Claimed by another; it is named. Retry later, or wait."),
    "CLAIM_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No claim with this id is held."),
    "DEADLOCK_VICTIM": Reason(StatusCode.ABORTED, False, "It waited in a cycle; release what is held, and start over."),
    "CLAIM_LIMIT_EXCEEDED": Reason(_PRECONDITION, False, "Too many claims of one owner; release some of them."),
    "DECISION_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No decision with this id is kept; list them."),
    "DECISION_OF_ANOTHER": Reason(_PRECONDITION, False, "It is another agent's decision; only that one takes it back."),
    "CONFLICT_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No conflict with this id is kept; list them."),
    "CONFLICT_STATE_CONFLICT": Reason(_PRECONDITION, False, "The conflict was resolved already; look at how."),
    "CONFLICT_RESOLUTION_EXCEPTION": Reason(
        StatusCode.INTERNAL, False, "Every strategy failed unexpectedly; the conflict waits for people."
    ),
    "FAMILY_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "Nothing was added to a family of this name; list them."),
    "PRECEDENT_NOT_FOUND": Reason(StatusCode.NOT_FOUND, False, "No established choice with this id; list them."),
    "POOL_CHANGED": Reason(StatusCode.ABORTED, False, "Somebody changed the pool; read it, and apply to what it is."),
    "POOL_NOT_OBSERVED": Reason(_UNAVAILABLE, True, "Nothing fresh is known of the pool's demand or agents; retry."),
    "SCALING_LIMIT_REACHED": Reason(_PRECONDITION, False, "A limit of the pool or its budget is named; raise it."),
    "SCALING_COORDINATION_EXCEPTION": Reason(
        StatusCode.INTERNAL,
        False,
        "A coordinated scaling failed unexpectedly; nothing was decided. Scale pool by pool.",
    ),
    "POOL_DELETING": Reason(_PRECONDITION, False, "The pool is being deleted; wait until it is gone, or use another."),
}
