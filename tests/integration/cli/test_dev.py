"""`tercio dev` may be killed at any time: what it acknowledged is there when it is started again."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.cli_processes import Processes, alive, eventually
from tercio.agent import Agent
from tercio.cli.main import app
from tercio.client import Client
from tercio.context import Context
from tercio.handles import TaskHandle
from tercio.states import TaskState
from tercio_common.free_ports import free_ports

pytestmark = pytest.mark.timeout(120)

KILLED_AFTER = 300
LEASES = {"TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": "1000", "TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": "300"}


async def test_kill_9_under_load_loses_nothing_that_was_acknowledged(processes: Processes, tmp_path: Path) -> None:
    options = ("--port", str(free_ports(1)[0]), "--data", str(tmp_path / "data"))
    first, address = await asyncio.to_thread(processes.dev, *options, **LEASES)
    agent = Agent(address=address, agent_id="worker", concurrency=4)
    agent.task("echo")(echo)
    working = asyncio.create_task(agent.run())
    try:
        async with Client(address=address) as client:
            acknowledged: list[str] = []
            loading = asyncio.create_task(submit_endlessly(client, acknowledged))
            await asyncio.to_thread(eventually, lambda: len(acknowledged) >= KILLED_AFTER)
            first.send_signal(signal.SIGKILL)
            before = len(acknowledged)
            await asyncio.to_thread(first.wait)
            await asyncio.to_thread(processes.dev, *options, **LEASES)
            # The client goes on by itself once the fleet is back.
            await asyncio.to_thread(eventually, lambda: len(acknowledged) >= before + 50)
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            async with asyncio.timeout(60):
                for task_id in acknowledged:
                    assert await client.handle(task_id).result() == task_id.encode()
    finally:
        agent.stop()
        await asyncio.gather(working, return_exceptions=True)


async def echo(task: Context) -> str:
    return task.task_id


async def submit_endlessly(client: Client, acknowledged: list[str]) -> None:
    number = 0
    while True:
        handles: list[TaskHandle] = []
        for _ in range(20):
            number += 1
            handles.append(client.enqueue("echo", task_id=f"t{number}"))
        for handle in handles:
            await handle.accepted()
            acknowledged.append(handle.task_id)


def test_a_second_process_on_the_same_store_is_refused_in_one_line(processes: Processes, tmp_path: Path) -> None:
    processes.dev("--port", "0", "--data", str(tmp_path))
    second = processes.tercio("dev", "--port", "0", "--data", str(tmp_path), log="second.log")
    assert second.wait(30) == 1
    said = (processes.folder / "second.log").read_text()
    assert said.startswith("error: ")
    assert "Traceback" not in said


def test_a_taken_port_is_refused_in_one_line(processes: Processes) -> None:
    _, address = processes.dev("--port", "0", "--memory")
    port = address.rpartition(":")[2]
    second = processes.tercio("dev", "--port", port, "--memory", log="second.log")
    assert second.wait(30) == 1
    assert "another process has the port" in (processes.folder / "second.log").read_text()


def test_its_agents_end_with_it_however_it_ends(processes: Processes) -> None:
    process, _ = processes.dev("--port", "0", "--memory", "--agents", "1")
    eventually(lambda: processes.says("dev.log", "connected agent_id=dev-1"))
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert children
    process.send_signal(signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in children), within_s=5)


def test_the_same_agents_come_back_after_a_restart(processes: Processes, tmp_path: Path) -> None:
    for run in ("one.log", "two.log"):
        process, _ = processes.dev("--port", "0", "--data", str(tmp_path / "data"), "--agents", "1", log=run)
        eventually(lambda log=run: processes.says(log, "connected agent_id=dev-1"))  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not processes.says("two.log", "IMPOSTOR")


def test_a_signal_ends_it_cleanly(processes: Processes) -> None:
    process, _ = processes.dev("--port", "0", "--memory")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_store_that_was_restored_gets_a_new_generation(processes: Processes, tmp_path: Path) -> None:
    process, address = processes.dev("--port", "0", "--data", str(tmp_path))
    runner = CliRunner()
    submitted = runner.invoke(app, ["submit", "--address", address, "--id", "kept", "--", "true"])
    assert submitted.exit_code == 0, submitted.stderr
    file = str(tmp_path / "tercio.db")
    assert runner.invoke(app, ["store", "new-generation", "--yes", "--path", file]).exit_code == 1
    process.terminate()
    assert process.wait(20) == 0
    raised = runner.invoke(app, ["store", "new-generation", "--yes", "--path", file])
    assert raised.stdout == "the store's generation is 2 now\n"
    _, address = processes.dev("--port", "0", "--data", str(tmp_path), log="again.log")
    kept = json.loads(runner.invoke(app, ["tasks", "get", "kept", "--address", address, "-o", "json"]).stdout)
    assert kept["state"] == f"STATE_{TaskState.READY.name}"


def test_a_watch_prints_every_change_until_ctrl_c(processes: Processes) -> None:
    _, address = processes.dev("--port", "0", "--memory")
    watching = processes.tercio("tasks", "watch", "--address", address, "-o", "json", log="watch.log")
    runner = CliRunner()
    assert runner.invoke(app, ["submit", "--address", address, "--id", "seen", "--", "true"]).exit_code == 0
    eventually(lambda: processes.says("watch.log", "STATE_READY"))
    assert runner.invoke(app, ["tasks", "cancel", "seen", "--address", address]).exit_code == 0
    eventually(lambda: processes.says("watch.log", "STATE_CANCELLED"))
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    lines = (processes.folder / "watch.log").read_text().splitlines()
    assert [json.loads(line)["task_id"] for line in lines] == ["seen"] * len(lines)


def test_an_agent_that_is_drained_leaves(processes: Processes) -> None:
    _, address = processes.dev("--port", "0", "--memory")
    agent = processes.tercio("agent", "exec", "--address", address, "--agent-id", "old", "--", "true", log="agent.log")
    eventually(lambda: processes.says("agent.log", "connected agent_id=old"))
    runner = CliRunner()
    eventually(lambda: "HEALTHY" in runner.invoke(app, ["agents", "get", "old", "--address", address]).stdout)
    drained = runner.invoke(app, ["agents", "drain", "old", "--address", address])
    assert drained.stdout == "old drains: it finishes its work and leaves\n"
    assert agent.wait(20) == 0


def test_a_store_that_does_not_exist_gets_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["store", "new-generation", "--yes", "--path", str(tmp_path / "no.db")])
    assert done.exit_code == 1
    assert "does not exist" in done.stderr


def test_more_agents_come_while_much_waits_and_the_pool_says_why(processes: Processes) -> None:
    _, address = processes.dev("--port", "0", "--memory", "--agents", "1", "--max-agents", "2")
    eventually(lambda: processes.says("dev.log", "connected agent_id=dev-1"))
    runner = CliRunner()
    for number in range(2):
        submit = ["submit", "--address", address, "--id", f"t{number}", "--", "sleep", "60"]
        assert runner.invoke(app, submit).exit_code == 0
    eventually(lambda: processes.says("dev.log", "connected agent_id=dev-2"))
    pool = json.loads(runner.invoke(app, ["pool", "get", "dev", "--address", address, "-o", "json"]).stdout)
    assert (pool["min_agents"], pool["max_agents"], pool["status"]["desired_count"]) == (1, 2, 2)
    events = runner.invoke(app, ["scaling", "events", "--address", address]).stdout
    assert "1 -> 2" in events


def test_agents_of_an_earlier_start_leave_when_none_are_asked_for(processes: Processes, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    process, _ = processes.dev("--port", "0", "--data", data, "--agents", "1", log="one.log")
    eventually(lambda: processes.says("one.log", "connected agent_id=dev-1"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, address = processes.dev("--port", "0", "--data", data, log="two.log")
    runner = CliRunner()
    gone = ["pool", "get", "dev", "--address", address]
    eventually(lambda: runner.invoke(app, gone).exit_code == 3, within_s=60)
    assert not processes.says("two.log", "IMPOSTOR")
