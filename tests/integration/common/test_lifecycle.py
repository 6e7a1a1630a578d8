"""The life of a server process: it answers, it stops on a signal in order, and its exit code tells how it ended."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from structlog.testing import capture_logs

from support.counter_machine import Add, CounterCodec, CounterMachine
from support.edge import ECHO, METHODS, Context, Echo, EchoClient, failure_of
from tercio_common.composition import Ports, Service
from tercio_common.lifecycle import DRAINED, FAILED, MISCONFIGURED, Application, main, run
from tercio_common.machine.calls import EFFECT
from tercio_common.machine.host import Host
from tercio_common.rpc.authorisation import Rule
from tercio_common.settings import ProcessSettings
from tercio_common.testing.eventually import eventually


class Counters:
    """An application with a real host: every text is added to its counter and answered with the counter's value."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.echo = Echo()

    def build(self, ports: Ports) -> Service:
        host = Host(
            name="counters",
            machine=CounterMachine,
            session=lambda epoch: None,
            codec=CounterCodec(),
            journal=ports.journal,
            election=ports.election,
            clock=ports.clock,
            settings=ports.host_settings,
            address=ports.address,
        )

        async def add(text: str, context: Context) -> str:
            reply = await host.execute(Add(text), call=EFFECT, render=lambda value: str(value).encode())
            return reply.decode()

        self.hosts.append(host)
        self.echo.answer = add
        rules = {f"/{ECHO}/{method}": Rule.ANY_PRINCIPAL for method in METHODS}
        return Service(
            name="counters", host=host, add_to_server=self.echo.add_to_server, full_names=(ECHO,), rules=rules
        )


def settings_of(tmp_path: Path, **server: Any) -> ProcessSettings:
    store = {"kind": "sqlite", "path": tmp_path / "journal.db"}
    return ProcessSettings.model_validate({"server": {"port": 0, **server}, "store": store})


async def serve(counters: Counters, settings: ProcessSettings, work: Callable[[EchoClient], Any]) -> int:
    """Run the process in this loop, do `work` once it leads, and return its exit code."""
    process = asyncio.ensure_future(run([Application(name="counters", build=counters.build)], settings=settings))
    await eventually(lambda: process.done() or (counters.hosts and counters.hosts[-1].leading))
    async with grpc.aio.insecure_channel(counters.hosts[-1].address) as channel:
        await work(EchoClient(channel))
    return await process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal_drains_the_process_and_what_was_acknowledged_is_kept(
    tmp_path: Path, number: signal.Signals
) -> None:
    settings = settings_of(tmp_path)
    for expected in ("1", "2"):

        async def work(client: EchoClient, expected: str = expected) -> None:
            assert await client.ask("One", "a") == [expected]
            signal.raise_signal(number)

        assert await serve(Counters(), settings, work) == DRAINED


async def test_streams_are_told_to_go_elsewhere_and_the_role_is_given_up(tmp_path: Path) -> None:
    counters = Counters()
    ended: list[Any] = []

    async def work(client: EchoClient) -> None:
        stub = client.channel.stream_stream(f"/{ECHO}/Chat")
        call = stub()
        await eventually(lambda: counters.hosts[-1].leading)
        await call.write(b"")
        await call.read()
        signal.raise_signal(signal.SIGTERM)
        ended.append(await failure_of(call.read()))

    assert await serve(counters, settings_of(tmp_path), work) == DRAINED
    assert ended[0].reason == "DRAINING"
    assert not counters.hosts[-1].leading


async def test_an_unexpected_end_of_the_host_ends_the_process_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_host: Host) -> None:
        raise ValueError("a defect")

    async def nothing(_client: EchoClient) -> None:
        return

    monkeypatch.setattr(Host, "_campaign_and_lead", fail)
    monkeypatch.setattr("tercio_common.background._log", structlog.get_logger())
    with capture_logs() as lines:
        assert await serve(Counters(), settings_of(tmp_path), nothing) == FAILED
    (line,) = [one for one in lines if one["event"] == "background_task_ended"]
    assert line["task"] == "host of counters"


def test_a_port_that_is_taken_is_an_exit_code_of_its_own(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = settings_of(tmp_path, port=port, health_port=0, metrics_port=0, uvloop=False)
        application = Application(name="counters", build=Counters().build)
        assert main([application], settings=settings) == MISCONFIGURED
