"""Reads workflows in WfFormat, the JSON schema of WfCommons (https://github.com/wfcommons/WfFormat).

From version 1.5 on the structure is in `workflow.specification.tasks` and what was measured in
`workflow.execution.tasks`, joined by id. Before, both were in `workflow.tasks`, where 1.4 says `runtimeInSeconds` and
`coreCount`, older versions `runtime` and `cores`, and parents are ids or names.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workflows.workflow import Task, Workflow, WorkflowError, checked


def read(path: Path) -> Workflow:
    """Read a file.

    Raises:
        WorkflowError: it cannot be read, is not WfFormat, or its workflow cannot be played.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkflowError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise WorkflowError(f"{path} is not JSON: {error}") from None
    return parse(document, default_name=path.stem)


def parse(document: Any, *, default_name: str = "workflow") -> Workflow:
    """Return the workflow of a parsed document.

    Raises:
        WorkflowError: it is not WfFormat, or its workflow cannot be played.
    """
    workflow = _mapping(_mapping(document, "the document").get("workflow"), "'workflow'")
    name = str(document.get("name") or default_name)
    if "specification" in workflow:
        return checked(name, _split(workflow))
    if "tasks" in workflow:
        return checked(name, _joined(_entries(workflow["tasks"], "'workflow.tasks'")))
    raise WorkflowError("'workflow' has neither 'specification' (WfFormat 1.5) nor 'tasks' (before)")


def _split(workflow: Mapping[str, Any]) -> list[Task]:
    specification = _mapping(workflow["specification"], "'workflow.specification'")
    if "execution" not in workflow:
        raise WorkflowError("'workflow.execution' is missing: the file tells what to run but not how long it took")
    execution = _mapping(workflow["execution"], "'workflow.execution'")
    measured = {str(entry.get("id")): entry for entry in _entries(execution.get("tasks"), "'workflow.execution.tasks'")}
    tasks = []
    for entry in _entries(specification.get("tasks"), "'workflow.specification.tasks'"):
        task_id = _id(entry)
        if task_id not in measured:
            raise WorkflowError(f"task {task_id!r} is not in 'workflow.execution.tasks'")
        tasks.append(_task(task_id, entry, measured[task_id], parents=_parents(task_id, entry)))
    return tasks


def _joined(entries: Sequence[Mapping[str, Any]]) -> list[Task]:
    ids = [_id(entry) for entry in entries]
    uses = Counter(str(entry.get("name")) for entry in entries)
    by_name = {str(entry.get("name")): task_id for entry, task_id in zip(entries, ids, strict=True)}
    known = set(ids)
    tasks = []
    for entry, task_id in zip(entries, ids, strict=True):
        parents = []
        for parent in _parents(task_id, entry):
            if parent not in known and uses[parent] > 1:
                raise WorkflowError(
                    f"task {task_id!r} has the parent {parent!r}, a name that {uses[parent]} tasks have"
                )
            parents.append(parent if parent in known else by_name.get(parent, parent))
        tasks.append(_task(task_id, entry, entry, parents=tuple(parents)))
    return tasks


def _task(task_id: str, entry: Mapping[str, Any], measured: Mapping[str, Any], *, parents: tuple[str, ...]) -> Task:
    return Task(
        task_id=task_id,
        name=str(entry.get("name") or task_id),
        runtime_s=_number(task_id, measured, "runtimeInSeconds", "runtime"),
        parents=parents,
        cores=_number(task_id, measured, "coreCount", "cores", default=1.0),
    )


def _id(entry: Mapping[str, Any]) -> str:
    found = entry.get("id") or entry.get("name")
    if not found:
        raise WorkflowError(f"a task has neither 'id' nor 'name': {json.dumps(entry)[:200]}")
    return str(found)


def _parents(task_id: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    found = entry.get("parents", [])
    if not isinstance(found, list):
        raise WorkflowError(f"task {task_id!r}: 'parents' is not a list")
    return tuple(dict.fromkeys(str(parent) for parent in found))


def _number(task_id: str, entry: Mapping[str, Any], *names: str, default: float | None = None) -> float:
    for name in names:
        if name in entry:
            value = entry[name]
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise WorkflowError(f"task {task_id!r}: {name!r} is {value!r}, not a number")
            return float(value)
    if default is None:
        raise WorkflowError(f"task {task_id!r} has no {names[0]!r}")
    return default


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise WorkflowError(f"{what} is missing or not an object: this is not WfFormat")
    return value


def _entries(value: Any, what: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise WorkflowError(f"{what} is missing or not a list of objects")
    return value
