"""An agent that requires something and measures what it does, from its handler to the command line."""

from __future__ import annotations

import asyncio

import pytest
from typer.testing import CliRunner

from tercio import Agent, BlockingContext, Context
from tercio.cli.main import app
from tercio.testing import running_fleet
from tercio_common.testing.eventually import eventually


async def test_what_a_handler_measures_is_kept_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_REGISTRY__PERFORMANCE_FLUSH_MS", "100")
    monkeypatch.setenv("TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS", "200")
    async with running_fleet() as fleet, fleet.client() as client:
        agent = Agent(address=fleet.address, agent_id="a", resource_requirements={"cpu_cores": 2})

        @agent.task("write")
        async def write(task: Context) -> None:
            task.measure("quality_score", task.json())

        @agent.task("recall")
        def recall(task: BlockingContext) -> None:
            task.measure("memory_latency_ms", 12.5)

        async with fleet.running(agent):
            for quality in (0.75, 0.75):
                await (await client.submit("write", quality)).result()
            await (await client.submit("recall")).result()

            def describe() -> str:
                return CliRunner().invoke(app, ["agents", "describe", "a", "--address", fleet.address]).stdout

            shown = ""

            async def is_shown() -> bool:
                nonlocal shown
                shown = await asyncio.to_thread(describe)
                return "quality_score 0.75" in shown and "memory_latency_ms 12.5" in shown

            await eventually(is_shown)
            assert "cpu_cores 2" in shown
            assert "reserved 2000 of cpu" in shown
            assert "available, health 100%, load" in shown
