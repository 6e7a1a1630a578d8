"""Commands as agents: what counts as the outcome, and that no command outlives its agent."""

from __future__ import annotations

import asyncio
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli_processes import Processes, alive, eventually
from tercio.cli.command import MAX_RESULT_BYTES, Command
from tercio.client import Client
from tercio.errors import TaskDeadLetteredError
from tercio.templates import RetryPolicy

pytestmark = pytest.mark.timeout(60)


def pids_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


async def test_payload_goes_in_and_output_comes_out() -> None:
    ended = await Command(argv=["sh", "-c", "cat; echo err >&2; exit 3"]).run(b"payload")
    assert (ended.code, ended.stdout, ended.stderr_tail) == (3, b"payload", b"err\n")
    assert ended.message() == "exit 3: err"


async def test_a_command_that_does_not_exist_says_so() -> None:
    ended = await Command(argv=["no-such-command"]).run(b"")
    assert ended.code == 127
    assert "not found" in ended.message()


async def test_a_signal_is_told_as_in_a_shell() -> None:
    ended = await Command(argv=["sh", "-c", "kill -9 $$"]).run(b"")
    assert ended.code == 128 + 9
    assert ended.message() == "signal 9"


async def test_a_command_need_not_read_its_payload() -> None:
    ended = await Command(argv=["true"]).run(b"x" * 1_000_000)
    assert ended.code == 0


async def test_too_much_output_is_noticed_and_not_kept() -> None:
    ended = await Command(argv=[sys.executable, "-c", "print('x' * 10_000_000)"]).run(b"")
    assert ended.too_large
    assert len(ended.stdout) == MAX_RESULT_BYTES + 1


async def test_what_a_command_leaves_in_the_background_ends_with_it(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    ended = await Command(argv=["sh", "-c", f"sleep 60 & echo $! > {left}; echo done"]).run(b"")
    assert ended.stdout == b"done\n"
    eventually(lambda: not alive(pids_in(left)[0]))


async def test_cancelling_asks_first_and_then_kills(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script = f"trap 'echo yes > {asked}' TERM; echo $$ > {tmp_path / 'pid'}; while :; do sleep 0.05; done"
    running = asyncio.ensure_future(Command(argv=["sh", "-c", script], kill_grace_s=0.3).run(b""))
    await asyncio.to_thread(eventually, lambda: bool(pids_in(tmp_path / "pid")))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asked.read_text() == "yes\n"
    assert not alive(pids_in(tmp_path / "pid")[0])


def test_what_a_command_measures_is_kept_and_what_makes_no_sense_is_told(
    processes: Processes, fleet: str, tmp_path: Path
) -> None:
    script = 'printf "quality_score 0.75\\nno sense\\nquality_score nan\\n" >> "$TERCIO_MEASURES"; echo done'
    processes.tercio(
        *("agent", "exec", "--address", fleet, "--task-type", "measured", "--agent-id", "measuring"),
        *("--", "sh", "-c", script),
        log="agent.log",
    )
    command = [sys.executable, "-m", "tercio.cli"]
    submit = [*command, "submit", "--address", fleet, "--type", "measured", "--wait"]
    assert subprocess.run(submit, check=True, capture_output=True, text=True).stdout == "done\n"
    told = next(tmp_path.rglob("agent.log")).read_text()
    assert told.count("measure_ignored") == 2
    describe = [*command, "agents", "describe", "measuring", "--address", fleet]

    def is_shown() -> bool:
        return "quality_score 0.75" in subprocess.run(describe, check=True, capture_output=True, text=True).stdout

    eventually(is_shown, within_s=30)


def test_no_process_of_the_command_outlives_a_killed_agent(processes: Processes, fleet: str, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    handler = tmp_path / "handler.sh"
    handler.write_text(f"#!/bin/sh\necho $$ >> {pids}\nsleep 120 &\necho $! >> {pids}\nwait\n")
    handler.chmod(handler.stat().st_mode | stat.S_IXUSR)
    agent = processes.tercio(
        *("agent", "exec", "--address", fleet, "--task-type", "linger", "--agent-id", "doomed", "--", str(handler)),
        log="agent.log",
    )
    submit = [sys.executable, "-m", "tercio.cli", "submit", "--address", fleet, "--type", "linger"]
    subprocess.run([*submit, "--id", "lingering", "--attempts", "1"], check=True)
    eventually(lambda: len(pids_in(pids)) == 2)
    agent.send_signal(signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in pids_in(pids)), within_s=5)


async def test_a_handler_is_given_the_payload_and_fails_by_its_exit_code(processes: Processes, fleet: str) -> None:
    script = 'read line; [ "$line" = good ] && echo fine || { echo bad payload >&2; exit 9; }'
    options = ("--capability", "reading", "--task-type", "read", "--agent-id", "reader")
    processes.tercio("agent", "exec", "--address", fleet, *options, "--", "sh", "-c", script, log="agent.log")
    async with Client(address=fleet) as client:
        good = await client.submit("read", "good\n")
        assert await good.result() == b"fine\n"
        bad = await client.submit("read", "other\n", retry=RetryPolicy(max_attempts=1))
        with pytest.raises(TaskDeadLetteredError, match="exit 9: bad payload"):
            await bad.result()


async def test_a_result_over_64_kb_is_refused_with_advice(processes: Processes, fleet: str) -> None:
    options = ("--task-type", "shout", "--agent-id", "shouter")
    script = "print('x' * 70_000)"
    processes.tercio("agent", "exec", "--address", fleet, *options, "--", sys.executable, "-c", script, log="agent.log")
    async with Client(address=fleet) as client:
        task = await client.submit("shout")
        with pytest.raises(TaskDeadLetteredError, match="print its path instead"):
            await task.result()


async def test_each_slot_has_a_directory_of_its_own(processes: Processes, fleet: str, tmp_path: Path) -> None:
    directories = [tmp_path / "one", tmp_path / "two"]
    chosen = []
    for directory in directories:
        directory.mkdir()
        chosen += ["--directory", str(directory)]
    options = ("--task-type", "where", "--agent-id", "placer", "--concurrency", "2", *chosen)
    # Each waits for the other, so both slots are in use at once.
    script = f"touch here; until [ -e {directories[0]}/here ] && [ -e {directories[1]}/here ]; do sleep 0.02; done; pwd"
    processes.tercio("agent", "exec", "--address", fleet, *options, "--", "sh", "-c", script, log="agent.log")
    async with Client(address=fleet) as client:
        tasks = [await client.submit("where") for _ in directories]
        found = {await task.text() for task in tasks}
    assert found == {f"{directory}\n" for directory in directories}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="neither a handler nor permission"),
        pytest.param(("--allow-commands", "--", "true"), id="both"),
        pytest.param(("--concurrency", "2", "--directory", ".", "--", "true"), id="too few directories"),
        pytest.param(("--capability", "gpu=high", "--", "true"), id="a level that is none"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(processes: Processes, arguments: tuple[str, ...]) -> None:
    process = processes.tercio("agent", "exec", *arguments, log="agent.log")
    assert process.wait(20) == 2


async def test_a_payload_that_is_no_command_is_a_dead_letter_at_once(fleet: str) -> None:
    async with Client(address=fleet) as client:
        task = await client.submit("command", {"argv": "not a list"})
        with pytest.raises(TaskDeadLetteredError, match="argv") as caught:
            await task.result()
    assert caught.value.reason == "INVALID_COMMAND"


def test_a_command_takes_the_configuration_of_its_agent_or_refuses_it(
    processes: Processes, fleet: str, tmp_path: Path
) -> None:
    taken = tmp_path / "taken.json"
    take = tmp_path / "take.sh"
    take.write_text(f'#!/bin/sh\ntee {taken} | grep -v bad || {{ echo "it is bad" >&2; exit 9; }}\n')
    take.chmod(take.stat().st_mode | stat.S_IXUSR)
    options = ("--agent-id", "fed", "--address", fleet, "--on-configure", str(take))
    processes.tercio("agent", "exec", *options, "--", "cat", log="fed.log")
    eventually(lambda: processes.says("fed.log", "connected"))
    assert configured(fleet, '{"b":1,"a":2}').returncode == 0
    assert taken.read_text() == '{"a":2,"b":1}'
    refused = configured(fleet, '{"bad":1}')
    assert refused.returncode != 0
    assert b"CONFIGURATION_REFUSED: exit 9: it is bad" in refused.stderr
    eventually(lambda: taken.read_text() == '{"a":2,"b":1}')


def configured(fleet: str, document: str) -> subprocess.CompletedProcess[bytes]:
    """Give the agent `fed` a configuration, and wait for what becomes of it."""
    options = ("-f", "-", "--observe", "0s", "--address", fleet)
    return subprocess.run(
        [sys.executable, "-m", "tercio.cli", "agents", "config", "set", "fed", *options],
        input=document.encode(),
        capture_output=True,
        check=False,
    )


def test_an_empty_command_for_configurations_is_refused(processes: Processes) -> None:
    agent = processes.tercio("agent", "exec", "--on-configure", " ", "--", "cat", log="empty.log")
    assert agent.wait(30) == 2
