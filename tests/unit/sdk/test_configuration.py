"""What an agent is configured with: never an older document after a newer one, never one that was refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest

from tercio import Agent, HandlerError, SettingsError
from tercio.configuration import Configuration


def sent(revision: int, document: Mapping[str, Any]) -> bytes:
    return f"{revision}\n{json.dumps(document)}".encode()


def digest(document: Mapping[str, Any]) -> str:
    return sha256(json.dumps(document).encode()).hexdigest()


async def test_an_agent_without_a_function_uses_what_it_is_sent() -> None:
    configuration = Configuration()
    assert configuration.document == {}
    answer = json.loads(await configuration.take(sent(1, {"a": 1})))
    assert answer == {"revision": 1, "digest": digest({"a": 1})}
    assert configuration.document == {"a": 1}


async def test_what_the_function_refuses_is_not_in_force() -> None:
    configuration = Configuration()

    @configuration.set_handler
    async def refuse(document: Mapping[str, Any]) -> None:
        if "bad" in document:
            raise ValueError("bad")

    await configuration.take(sent(1, {"a": 1}))
    with pytest.raises(ValueError, match="bad"):
        await configuration.take(sent(2, {"bad": 1}))
    assert configuration.document == {"a": 1}


async def test_what_the_function_uses_instead_is_told() -> None:
    configuration = Configuration()
    configuration.set_handler(lambda document: {**document, "a": 9})
    assert json.loads(await configuration.take(sent(1, {"a": 1})))["digest"] != digest({"a": 1})
    assert configuration.document == {"a": 9}


async def test_an_older_one_is_refused_and_the_same_one_is_applied_once() -> None:
    configuration, taken = Configuration(), []
    configuration.set_handler(lambda document: taken.append(document))
    for _ in range(2):
        await configuration.take(sent(2, {"a": 2}))
    with pytest.raises(HandlerError, match="came after"):
        await configuration.take(sent(1, {"a": 1}))
    assert taken == [{"a": 2}]


def test_an_agent_has_one_function_for_it() -> None:
    agent = Agent(agent_id="a")
    agent.on_configure(lambda document: None)
    with pytest.raises(SettingsError):
        agent.on_configure(lambda document: None)
