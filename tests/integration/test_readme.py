"""What the README shows is what happens."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tercio import Agent
from tercio.testing import Fleet, running_fleet

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
BIN = Path(sys.executable).parent


@pytest.fixture
async def fleet(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Yield a fleet where the README's code looks for one."""
    async with running_fleet() as fleet:
        monkeypatch.setenv("TERCIO_ADDRESS", fleet.address)
        yield fleet


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


async def run(command: str) -> str:
    """Run a command of the README, with the programs of this environment, and return what it prints."""
    program, *arguments = shlex.split(command)
    process = await asyncio.create_subprocess_exec(
        str(BIN / Path(program).name), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return output.decode()


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, flags=re.MULTILINE)) <= targets


async def test_the_agent_and_the_client_of_the_readme_work(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    agent_code, client_code = blocks("python")
    agent_space: dict[str, Any] = {}
    client_space: dict[str, Any] = {}
    exec(agent_code.replace("agent.run_blocking()", ""), agent_space)  # noqa: S102 - the README is ours
    exec(client_code.replace("asyncio.run(main())", ""), client_space)  # noqa: S102 - the README is ours
    agent: Agent = agent_space["agent"]
    async with fleet.running(agent):
        await client_space["main"]()
    assert capsys.readouterr().out == "b'{\"width\":50}'\n"


@contextlib.asynccontextmanager
async def exec_agent() -> AsyncIterator[None]:
    """Run the README's `tercio agent exec`."""
    command = next(text for text in blocks("sh") if "agent exec" in text)
    program, *arguments = shlex.split(command)
    process = await asyncio.create_subprocess_exec(
        str(BIN / Path(program).name), *arguments, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.usefixtures("fleet")
async def test_the_session_of_the_readme_prints_what_it_shows() -> None:
    (session,) = blocks("console")
    steps = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, flags=re.MULTILINE)
    assert len(steps) == 3
    task_ids: dict[str, str] = {}
    async with exec_agent():
        for command, shown in steps:
            for written, real in task_ids.items():
                command = command.replace(written, real)
            printed = await run(command)
            if re.fullmatch(r"[0-9a-f]{26}\n", shown):
                assert re.fullmatch(r"[0-9a-f]{26}\n", printed)
                task_ids[shown.strip()] = printed.strip()
            else:
                assert printed.startswith(shown), f"{command} printed {printed!r}"
