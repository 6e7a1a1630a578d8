"""Prediction: from similar past tasks, with a buffer, and how far it was off."""

from __future__ import annotations

from support.resources_machine import Driver
from tercio_resources.state.commands import ReportUsage, UsageReport
from tercio_resources.state.prediction import MOST_TASKS, MOST_TYPES, Prediction, predict
from tercio_resources.state.rows import Amount, HistoryRow, PastTask

RUST = (("language", "rust"),)
GO = (("language", "go"),)
DEFAULT = {"cpu": 1_000, "memory": 512}


def run(driver: Driver, used: int, labels: tuple[tuple[str, str], ...] = (), task_type: str = "compile") -> None:
    """Let a task of a type use that much at most, and end."""
    number = driver.grant()
    for amount in (used, used // 2):
        driver.do(ReportUsage((UsageReport(number, (Amount("cpu", amount),), task_type, labels),)))
    driver.release(number)


def predicted(driver: Driver, labels: tuple[tuple[str, str], ...] = ()) -> Prediction:
    return predict(driver.machine.tables.histories.get("compile"), labels, DEFAULT)


def test_without_history_the_default_is_predicted() -> None:
    assert predicted(Driver()) == Prediction((("cpu", 1_000), ("memory", 512)), 0, 0)


def test_the_mean_of_the_peaks_is_predicted_with_a_fifth_more_in_whole_numbers() -> None:
    driver = Driver()
    for used in (10, 20, 23):
        run(driver, used)
    assert predicted(driver).amounts == (("cpu", 21),)  # (10 + 20 + 23) ÷ 3 × 1.2 = 21.2
    assert predicted(driver).tasks == 3


def test_the_tasks_with_the_most_labels_in_common_count() -> None:
    driver = Driver()
    run(driver, 100, RUST)
    run(driver, 10, GO)
    assert predicted(driver, RUST).amounts == (("cpu", 120),)
    assert predicted(driver, GO).amounts == (("cpu", 12),)
    assert predicted(driver, (("language", "c"),)).amounts == (("cpu", 66),)


def test_the_error_is_that_of_the_prediction_before_the_task_was_learned() -> None:
    driver = Driver()
    run(driver, 50)
    assert predicted(driver).error == 0
    run(driver, 40)  # 60 were predicted
    assert predicted(driver).error == 500


def test_who_names_no_type_or_reports_nothing_teaches_nothing() -> None:
    driver = Driver()
    run(driver, 50, task_type="")
    driver.release(driver.grant())
    assert not len(driver.machine.tables.histories)


def test_history_is_bounded_in_tasks_and_in_types() -> None:
    driver = Driver()
    for used in range(1, MOST_TASKS + 5):
        run(driver, used)
    assert predicted(driver).tasks == MOST_TASKS
    table = driver.machine.tables.histories
    for index in range(MOST_TYPES - 1):
        table.put(table["compile"]._replace(task_type=f"t{index}", ended_now=5))
    run(driver, 1, task_type="new")
    assert len(table) == MOST_TYPES
    assert "compile" not in table
    assert "new" in table


def test_an_adaptive_buffer_is_as_large_as_tasks_differ_and_at_most_a_fifth() -> None:
    def predicted(*peaks: int) -> int:
        history = HistoryRow("x", tuple(PastTask((), (("cpu", peak),)) for peak in peaks), 0, 0, 0)
        return dict(predict(history, (), {}, adaptive=True).amounts)["cpu"]

    assert predicted(*[100] * 8) == 100
    assert predicted(*[95, 105] * 4) == 110
    assert predicted(*[50, 150] * 4) == 120
    assert predicted(*[100] * 7) == 120, "of few it is not known how much they differ"
