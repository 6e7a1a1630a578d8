"""A proxy in front of a real API server that does to chosen requests what networks and servers do, and keeps a record.

Requests that no rule is for pass as they are. A rule is for requests by method and path and is used up after its number
of them; the first one that fits counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
from aiohttp import web
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from support.recorded_answers import EXPIRED, Answer

_KEPT_HEADERS: Final = ("Accept", "Content-Type")
_FOREVER: Final = 1_000_000

Fault: TypeAlias = Callable[["ApiServerProxy", web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that reached the API server, and its answer."""

    method: str
    path: str
    sent: dict[str, Any]
    status: int
    said: dict[str, Any]


@dataclass(slots=True)
class Rule:
    """Which requests something is done to, and how many of them are left."""

    method: str
    path: re.Pattern[str]
    fault: Fault
    left: int
    watch: bool
    met: asyncio.Event = field(default_factory=asyncio.Event)
    """A request came that it was for."""

    def fits(self, request: web.Request) -> bool:
        """Tell whether it is for a request."""
        return (
            self.left > 0
            and request.method == self.method
            and self.watch == ("watch" in request.query)
            and bool(self.path.search(request.path))
        )


class ApiServerProxy:
    """Listens on a port of its own; see `started`."""

    def __init__(self, upstream: aiohttp.ClientSession, host: str) -> None:
        self._upstream = upstream
        self._host = host
        self._rules: list[Rule] = []
        self.exchanges: list[Exchange] = []
        self.watches: list[tuple[str, str]] = []
        """Path and `resourceVersion` of every watch that was asked for."""
        self.address = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, kubeconfig: str) -> AsyncIterator[ApiServerProxy]:
        """Yield a proxy that calls with what `kubeconfig` says, and asks its own callers for nothing."""
        found = Configuration()
        await config.load_kube_config(config_file=kubeconfig, client_configuration=found, persist_config=False)
        connector = aiohttp.TCPConnector(ssl=RESTClientObject(found).ssl_context, limit=0)
        headers = {"Authorization": token} if (token := found.api_key.get("BearerToken")) else {}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as upstream:
            proxy = cls(upstream, found.host)
            application = web.Application(client_max_size=1 << 24)
            application.router.add_route("*", "/{path:.*}", proxy._handle)
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            proxy.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield proxy
            finally:
                await runner.cleanup()

    def kubeconfig(self, folder: Path) -> Path:
        """Write a file that leads here, and return it."""
        written = folder / f"kubeconfig-{self.address.rpartition(':')[2]}.json"
        written.write_text(json.dumps(kubeconfig_for(self.address)))
        return written

    def do(
        self, fault: Fault, method: str, path: str, *, after: int = 0, times: int = _FOREVER, watch: bool = False
    ) -> Rule:
        """Do something to `times` requests of a method whose path has the pattern, when `after` others have passed."""
        if after:
            self._rules.append(Rule(method, re.compile(path), passing, after, watch))
        rule = Rule(method, re.compile(path), fault, times, watch)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """Let everything pass again."""
        self._rules.clear()

    def passed(self, method: str, path: str) -> list[Exchange]:
        """Return what reached the API server."""
        return [one for one in self.exchanges if one.method == method and re.search(path, one.path)]

    async def forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Ask the API server what was asked here; return its answer."""
        async with self._upstream.request(
            request.method, self._host + request.path_qs, **_as_sent(request, body)
        ) as got:
            content = await got.read()
            said = json.loads(content) if "json" in got.content_type else {}
            sent = json.loads(body) if body else {}
            self.exchanges.append(Exchange(request.method, request.path, sent, got.status, said))
            return got.status, {"Content-Type": got.headers.get("Content-Type", "application/json")}, content

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Pass a watch on."""
        return await self._stream(request, most=_FOREVER)

    async def _stream(self, request: web.Request, *, most: int, cut_inside: bool = False) -> web.StreamResponse:
        async with self._upstream.get(
            self._host + request.path_qs, **_as_sent(request, b""), timeout=aiohttp.ClientTimeout(total=None)
        ) as got:
            answer = web.StreamResponse(status=got.status, headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            async for line in got.content:
                if most <= 0 and cut_inside:
                    await answer.write(line[: len(line) // 2])
                if most <= 0:
                    _cut(request)
                    return answer
                with contextlib.suppress(ConnectionError):  # it was watched by somebody who has gone
                    await answer.write(line)
                    most -= 1
                    continue
                return answer
            return answer

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if "watch" in request.query:
            self.watches.append((request.path, request.query.get("resourceVersion", "")))
        rule = next((rule for rule in self._rules if rule.fits(request)), None)
        if rule is not None:
            rule.left -= 1
            rule.met.set()
            return await rule.fault(self, request, body)
        return await passing(self, request, body)


def kubeconfig_for(server: str) -> dict[str, Any]:
    """Return a kubeconfig that leads to a server which asks nobody who calls."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxy",
        "clusters": [{"name": "proxy", "cluster": {"server": server}}],
        "users": [{"name": "proxy", "user": {}}],
        "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
    }


async def passing(proxy: ApiServerProxy, request: web.Request, body: bytes) -> web.StreamResponse:
    """Let a request pass as it is."""
    if "watch" in request.query:
        return await proxy.stream(request)
    status, headers, content = await proxy.forward(request, body)
    return web.Response(status=status, headers=headers, body=content)


def answering(answer: Answer) -> Fault:
    """Answer as recorded; the API server hears nothing."""

    async def fault(_proxy: ApiServerProxy, _request: web.Request, _body: bytes) -> web.StreamResponse:
        return web.Response(status=answer.status, headers=answer.headers, text=answer.body)

    return fault


async def expired(_proxy: ApiServerProxy, _request: web.Request, _body: bytes) -> web.StreamResponse:
    """Open a watch whose only event says that its version is too old."""
    return web.json_response({"type": "ERROR", "object": EXPIRED})


async def silent(_proxy: ApiServerProxy, _request: web.Request, _body: bytes) -> web.StreamResponse:
    """Never answer; the API server hears nothing."""
    await asyncio.Event().wait()
    raise AssertionError


async def unanswered(proxy: ApiServerProxy, request: web.Request, body: bytes) -> web.StreamResponse:
    """Have the API server do it, and cut the connection instead of answering."""
    await proxy.forward(request, body)
    _cut(request)
    return web.Response()


def cut_after(events: int, *, inside: bool = False) -> Fault:
    """Cut a watch when that many events have passed; `inside` the next one, so that half of it arrives."""

    async def fault(proxy: ApiServerProxy, request: web.Request, _body: bytes) -> web.StreamResponse:
        return await proxy._stream(request, most=events, cut_inside=inside)

    return fault


class Gate:
    """Holds a request, or its answer, until it is opened."""

    def __init__(self, *, answer: bool = False) -> None:
        """Hold the request before the API server hears it; with `answer` only what it said."""
        self._answer = answer
        self.held = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let it go, and whatever comes after it."""
        self._opened.set()

    async def __call__(self, proxy: ApiServerProxy, request: web.Request, body: bytes) -> web.StreamResponse:
        """See `Fault`."""
        if not self._answer:
            await self._hold()
        status, headers, content = await proxy.forward(request, body)
        if self._answer:
            await self._hold()
        return web.Response(status=status, headers=headers, body=content)

    async def _hold(self) -> None:
        self.held.set()
        await self._opened.wait()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _as_sent(request: web.Request, body: bytes) -> dict[str, Any]:
    kept = {name: request.headers[name] for name in _KEPT_HEADERS if name in request.headers}
    return {"headers": kept, "data": body or None}
