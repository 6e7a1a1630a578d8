"""Reading, generating, bounding and submitting workflows; nothing here starts a fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.workflows.agents import Span
from benchmarks.workflows.bounds import bound, first_come, longest_remaining
from benchmarks.workflows.plans import MOST_PARENTS, MOST_TASKS, submission
from benchmarks.workflows.player import Played
from benchmarks.workflows.shapes import epigenomics, montage
from benchmarks.workflows.timeline import percentile, timeline
from benchmarks.workflows.wfformat import parse
from benchmarks.workflows.workflow import Task, Workflow, WorkflowError, checked


def _of(*tasks: tuple[str, float, str]) -> Workflow:
    return checked(
        "small",
        (Task(task_id=name, name=name, runtime_s=runtime_s, parents=tuple(after)) for name, runtime_s, after in tasks),
    )


def _split(specification: list[dict[str, Any]], execution: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": "w", "workflow": {"specification": {"tasks": specification}, "execution": {"tasks": execution}}}


def test_version_1_5_joins_what_to_run_with_how_long_it_took() -> None:
    workflow = parse(
        _split(
            [
                {"name": "merge", "id": "b", "parents": ["a"], "children": []},
                {"name": "split", "id": "a", "parents": [], "children": ["b"]},
            ],
            [{"id": "a", "runtimeInSeconds": 1.5, "coreCount": 4}, {"id": "b", "runtimeInSeconds": 2}],
        )
    )
    assert workflow.name == "w"
    assert list(workflow.tasks.values()) == [
        Task(task_id="a", name="split", runtime_s=1.5, cores=4.0),
        Task(task_id="b", name="merge", runtime_s=2.0, parents=("a",)),
    ]


@pytest.mark.parametrize("runtime", ["runtime", "runtimeInSeconds"])
@pytest.mark.parametrize("parent", ["ID1", "split_1"])
def test_older_versions_keep_both_in_one_list_and_name_parents_by_id_or_name(runtime: str, parent: str) -> None:
    workflow = parse(
        {
            "name": "w",
            "workflow": {
                "tasks": [
                    {"name": "split_1", "id": "ID1", "parents": [], runtime: 1.5, "cores": 2},
                    {"name": "merge_2", "id": "ID2", "parents": [parent], runtime: 2.5},
                ]
            },
        }
    )
    assert workflow.tasks["ID1"].cores == 2.0
    assert workflow.tasks["ID2"].parents == ("ID1",)
    assert workflow.tasks["ID2"].runtime_s == 2.5


def test_older_versions_without_ids_are_known_by_name() -> None:
    tasks = [{"name": "a", "runtime": 1, "parents": []}, {"name": "b", "runtime": 1, "parents": ["a"]}]
    assert parse({"workflow": {"tasks": tasks}}).tasks["b"].parents == ("a",)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the document is missing or not an object"),
        ({"workflow": {}}, "neither 'specification' .* nor 'tasks'"),
        ({"workflow": {"tasks": []}}, "has no tasks"),
        ({"workflow": {"specification": {"tasks": []}}}, "'workflow.execution' is missing"),
        (_split([{"id": "a", "parents": []}], []), "task 'a' is not in 'workflow.execution.tasks'"),
        (_split([{"id": "a", "parents": []}], [{"id": "a"}]), "task 'a' has no 'runtimeInSeconds'"),
        ({"workflow": {"tasks": [{"id": "a", "runtime": "1"}]}}, "task 'a': 'runtime' is '1', not a number"),
        ({"workflow": {"tasks": [{"id": "a", "runtime": -1}]}}, "task 'a' has a runtime of -1.0 s"),
        ({"workflow": {"tasks": [{"id": "a", "runtime": 1}] * 2}}, "task 'a' comes twice"),
        (
            {"workflow": {"tasks": [{"id": "a", "runtime": 1, "parents": ["z"]}]}},
            "task 'a' has the parent 'z', which is not in the workflow",
        ),
        (
            {
                "workflow": {
                    "tasks": [
                        *({"id": name, "name": "x", "runtime": 1} for name in "ab"),
                        {"id": "c", "runtime": 1, "parents": ["x"]},
                    ]
                }
            },
            "task 'c' has the parent 'x', a name that 2 tasks have",
        ),
    ],
)
def test_what_cannot_be_played_is_refused_with_the_task(document: Any, message: str) -> None:
    with pytest.raises(WorkflowError, match=message):
        parse(document)


def test_a_cycle_is_refused_and_spelt_out() -> None:
    with pytest.raises(WorkflowError, match="tasks wait for each other: ") as refused:
        _of(("a", 1, ""), ("b", 1, "ac"), ("c", 1, "b"))
    assert {"'b' → 'c' → 'b'", "'c' → 'b' → 'c'"} & {str(refused.value).removeprefix("tasks wait for each other: ")}


def test_the_bound_is_the_critical_path_when_there_are_enough_slots() -> None:
    found = bound(_of(("a", 1, ""), ("b", 2, "a"), ("c", 5, "a"), ("d", 1, "bc")), slots=2, scale=0.5)
    assert (found.critical_path_s, found.work_s, found.seconds) == (3.5, 4.5, 3.5)


def test_the_bound_is_the_work_spread_over_the_slots_when_there_are_few() -> None:
    found = bound(_of(*((name, 2, "") for name in "abcde")), slots=2)
    assert (found.critical_path_s, found.work_s, found.seconds) == (2.0, 10.0, 5.0)


def test_a_schedule_without_delay_shows_what_the_order_costs() -> None:
    # First come runs both short tasks before the long one; the longest chain first does not.
    workflow = _of(("a", 2, ""), ("b", 2, ""), ("c", 4, ""))
    assert bound(workflow, slots=2).seconds == 4
    assert first_come(workflow, slots=2) == 6
    assert longest_remaining(workflow, slots=2) == 4


@pytest.mark.parametrize("shape", [montage, epigenomics])
@pytest.mark.parametrize("slots", [1, 7, 64])
def test_no_schedule_beats_the_bound(shape: Callable[..., Workflow], slots: int) -> None:
    workflow = shape(120, seed=3)
    best = bound(workflow, slots=slots).seconds
    assert first_come(workflow, slots=slots) >= best * (1 - 1e-9)
    assert longest_remaining(workflow, slots=slots) >= best * (1 - 1e-9)


def test_montage_has_the_levels_of_the_profiled_workflow() -> None:
    workflow = montage(1000, seed=1)
    levels = workflow.levels()
    by_level = Counter((levels[task.task_id], task.name) for task in workflow.tasks.values())
    assert by_level == {
        (0, "mProject"): 166,
        (1, "mDiffFit"): 662,
        (2, "mConcatFit"): 1,
        (3, "mBgModel"): 1,
        (4, "mBackground"): 166,
        (5, "mImgtbl"): 1,
        (6, "mAdd"): 1,
        (7, "mShrink"): 1,
        (8, "mJPEG"): 1,
    }
    pairs = [task.parents for task in workflow.tasks.values() if task.name == "mDiffFit"]
    assert len({frozenset(pair) for pair in pairs}) == 662
    assert all(len(set(pair)) == 2 for pair in pairs)


@pytest.mark.parametrize("tasks", [60, 61, 62, 65, 100, 999, 4321])
def test_montage_has_exactly_the_tasks_asked_for(tasks: int) -> None:
    assert len(montage(tasks, seed=0).tasks) == tasks


def test_epigenomics_has_the_lanes_of_the_profiled_workflow() -> None:
    workflow = epigenomics(1000, seed=1)
    levels = workflow.levels()
    by_level = Counter((levels[task.task_id], task.name) for task in workflow.tasks.values())
    assert by_level == {
        (0, "fastqSplit"): 7,
        (1, "filterContams"): 245,
        (2, "sol2sanger"): 245,
        (3, "fastq2bfq"): 245,
        (4, "map"): 245,
        (5, "mapMerge"): 7,
        (6, "mapMerge"): 1,
        (7, "maqIndex"): 1,
        (8, "pileup"): 1,
    }
    assert all(len(task.parents) == 1 for task in workflow.tasks.values() if task.name == "map")


@pytest.mark.parametrize("tasks", [9, 10, 50, 996, 997, 1000])
def test_epigenomics_has_at_most_three_tasks_fewer_than_asked_for(tasks: int) -> None:
    assert tasks - 3 <= len(epigenomics(tasks, seed=0).tasks) <= tasks


@pytest.mark.parametrize(("shape", "fewest"), [(montage, 60), (epigenomics, 9)])
def test_shapes_that_are_too_small_are_refused(shape: Callable[..., Workflow], fewest: int) -> None:
    with pytest.raises(WorkflowError, match=f"at least {fewest} tasks"):
        shape(fewest - 1, seed=0)


@pytest.mark.parametrize("shape", [montage, epigenomics])
def test_a_seed_gives_the_same_workflow_again_and_another_seed_another(shape: Callable[..., Workflow]) -> None:
    assert shape(200, seed=5) == shape(200, seed=5)
    assert shape(200, seed=5).tasks != shape(200, seed=6).tasks


def test_tasks_with_too_many_parents_get_joins_and_large_workflows_several_plans() -> None:
    workflow = montage(1000, seed=0)
    submitted = submission(workflow, scale=0.1, prefix="run")
    assert submitted.joins == 3
    assert [len(plan) for plan in submitted.plans] == [MOST_TASKS, 3]
    known: set[str] = set()
    for task_id, parents in submitted.parents.items():
        assert known.issuperset(parents)
        assert len(parents) <= MOST_PARENTS
        known.add(task_id)
    payloads = Counter(spec.payload for plan in submitted.plans for spec in plan)
    assert payloads["0.000000"] == 3
    assert payloads["38.449000"] == 1


def test_the_timeline_tells_dispatch_from_waiting_for_a_slot() -> None:
    # Two slots: a and b run at once, c was prefetched behind b although a's slot was free, d follows c.
    second = 1_000_000_000
    spans = {
        "a": Span(0, 0, 1 * second),
        "b": Span(1, 0, 3 * second),
        "c": Span(1, 3 * second, 4 * second),
        "d": Span(0, 5 * second, 6 * second),
    }
    played = Played(
        begun_ns=0,
        accepted_ns=0,
        ended_ns=6 * second,
        spans=spans,
        offered_ns={"a": 0, "b": 0, "c": 1 * second, "d": 5 * second},
    )
    measured = timeline(played, {"a": (), "b": (), "c": ("a",), "d": ("c",)}, slots=2)
    assert (measured.makespan_s, measured.busy_s, measured.utilisation) == (6.0, 6.0, 0.5)
    assert measured.waits_s == [0.0, 0.0, 1.0, 2.0]
    assert measured.dispatch_s == [0.0, 0.0, 0.0, 1.0]
    assert (measured.lost_s, measured.bound_s) == (3.0, 2.0)


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.5, 0.99, 1.0)] == [50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0


def test_a_span_survives_its_encoding() -> None:
    assert Span.decoded(Span(3, 10, 20).encoded()) == Span(3, 10, 20)
