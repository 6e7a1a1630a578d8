"""One API server: how it is found, how it is asked, and what its answers mean to a driver.

Answers are plain JSON: of a Pod's hundreds of fields the drivers read ten, and building the library's models of a
thousand Pods takes seconds. Nothing is tried again here, since only who asks knows whether that is safe.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from tercio_scaling.drivers.kubernetes_settings import KubernetesSettings
from tercio_scaling.drivers.protocol import DriverError, Refused, Unavailable, WriteConflict

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient, Configuration

Json: TypeAlias = dict[str, Any]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MERGE_PATCH: Final = "application/merge-patch+json"
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
_KUBECONFIG: Final = "KUBECONFIG"
_BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_GRACE_S: Final = 5.0
"""How much later than the server a watch is given up by the client."""


class NotThere(Refused):
    """404: there is no such object."""


class Conflict(WriteConflict):
    """409: the object is another one by now, or exists."""


class Gone(DriverError):
    """410: what a watch would resume from is forgotten."""


class Cluster:
    """A connection to one API server, opened with the first call."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._lanes = asyncio.Semaphore(settings.concurrency)
        self._client: ApiClient | None = None

    async def ask(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Json | None = None
    ) -> Json:
        """Ask once and return the answer; a PATCH is a merge patch.

        Raises:
            Conflict: 409.
            NotThere: 404.
            Refused: it will say so again.
            Unavailable: it did not answer in time, or is busy. Whether a write was done is not known.
        """
        limit = self._settings.call_timeout_ms / 1_000
        try:
            async with asyncio.timeout(limit):
                answer = await self._send(method, path, query, body)
                text = await answer.text()
        except TimeoutError:
            raise Unavailable(f"the API server did not answer {method} {path} within {limit:g} s") from None
        except _lost() as error:
            raise Unavailable(f"the API server is not reached: {error}") from error
        return _understood(answer.status, answer.headers, text, f"{method} {path}")

    async def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        """Yield events until the server ends the watch.

        Raises:
            Gone: the `resourceVersion` of the query is forgotten; begin without one.
            Refused: it will say so again.
            Unavailable: it did not answer, or the connection was lost.
        """
        span_ms = self._settings.watch_ms
        asked = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(-(-span_ms // 1_000))}
        try:
            answer = await self._send("GET", path, asked, limit_s=span_ms / 1_000 + _GRACE_S)
            try:
                if answer.status != HTTPStatus.OK:
                    _understood(answer.status, answer.headers, await answer.text(), f"GET {path}")
                while line := await answer.content.readline():
                    yield _event(line, path)
            finally:
                answer.close()
        except TimeoutError:
            raise Unavailable(f"the watch of {path} fell silent") from None
        except _lost() as error:
            raise Unavailable(f"the watch of {path} was cut: {error}") from error

    async def each(self, call: Callable[[ItemT], Awaitable[ResultT]], items: Iterable[ItemT]) -> list[ResultT]:
        """Call for each item, a bounded number at once, all to their end; raise the first error among them."""

        async def in_lane(item: ItemT) -> ResultT:
            async with self._lanes:
                return await call(item)

        results = await asyncio.gather(*map(in_lane, items), return_exceptions=True)
        done = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            done.append(result)
        return done

    async def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Json | None = None,
        limit_s: float | None = None,
    ) -> Any:
        import aiohttp

        client = await self._opened()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = MERGE_PATCH if method == "PATCH" else "application/json"
        parts = await client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await client.call_api(*parts, _request_timeout=aiohttp.ClientTimeout(total=limit_s))
        return response.response

    async def _opened(self) -> ApiClient:
        async with self._opening:
            if self._client is None:
                from kubernetes.aio.client import ApiClient  # takes a second, which local pools need not pay

                self._client = ApiClient(await _configuration(self._settings.kubeconfig))
            return self._client


async def _configuration(kubeconfig: str) -> Configuration:
    from kubernetes.aio import config
    from kubernetes.aio.client import Configuration

    found = Configuration()
    named = kubeconfig or os.environ.get(_KUBECONFIG, "")
    try:
        if named or _IN_CLUSTER not in os.environ:
            await config.load_kube_config(config_file=named or None, client_configuration=found, persist_config=False)
        else:
            config.load_incluster_config(client_configuration=found)
    except (config.ConfigException, OSError) as error:
        raise Refused(
            f"no API server is known: {error}; set KUBECONFIG, or run as a Pod with a service account",
            reason="NoCluster",
        ) from error
    return found


def _lost() -> tuple[type[BaseException], ...]:
    import aiohttp

    return (aiohttp.ClientError, OSError)


def _event(line: bytes, path: str) -> Json:
    try:
        event: Json = json.loads(line)
    except ValueError:
        raise Unavailable(f"the watch of {path} was cut inside an event") from None
    if event.get("type") == "ERROR":
        status = event.get("object", {})
        _understood(int(status.get("code", HTTPStatus.INTERNAL_SERVER_ERROR)), {}, json.dumps(status), f"GET {path}")
    return event


def _understood(status: int, headers: Mapping[str, str], text: str, what: str) -> Json:
    """Return the object of an answer, or raise what it means."""
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    if status < HTTPStatus.MULTIPLE_CHOICES:
        if not isinstance(found, dict):
            raise Unavailable(f"the answer to {what} is no object")
        return found
    said = found if isinstance(found, dict) else {}
    why = f"{what}: {said.get('message') or text[:200] or status}"
    reason = str(said.get("reason") or status)
    if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unavailable(why, retry_after_ms=_retry_after_ms(headers, said))
    match status:
        case HTTPStatus.CONFLICT:
            raise Conflict(why)
        case HTTPStatus.GONE:
            raise Gone(why)
        case HTTPStatus.NOT_FOUND:
            raise NotThere(why, reason="NotFound")
        case _:
            raise Refused(why, reason=reason)


def _retry_after_ms(headers: Mapping[str, str], said: Json) -> int:
    named = headers.get("Retry-After") or (said.get("details") or {}).get("retryAfterSeconds") or 0
    try:
        return max(0, int(named)) * 1_000
    except ValueError:
        return 0  # a date: who sends one has no load to shed now


def selector_text(selector: Json) -> str:
    """Return a label selector as a query says it.

    Raises:
        Refused: it has an operator that is not known.
    """
    words = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    return ",".join([*words, *(_expression(one) for one in selector.get("matchExpressions") or ())])


def _expression(one: Json) -> str:
    key, operator, values = one["key"], one["operator"], _listed(one.get("values") or ())
    match operator:
        case "In" | "NotIn":
            return f"{key} {operator.lower()} ({values})"
        case "Exists":
            return str(key)
        case "DoesNotExist":
            return f"!{key}"
        case _:
            raise Refused(f"selector operator {operator!r} is not known", reason="Invalid")


def _listed(values: Sequence[str]) -> str:
    return ",".join(values)
