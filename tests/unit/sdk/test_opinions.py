"""What an agent says when it is asked which decision prevails."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tercio.errors import HandlerError, SettingsError
from tercio.opinions import Opinion, Opinions

QUESTION = json.dumps({"conflict_id": "c", "decisions": [{"decision_id": 7}, {"decision_id": 9}]}).encode()


async def test_a_plain_function_and_an_async_one_answer_alike() -> None:
    async def later(question: Any) -> Opinion:
        return Opinion(question["decisions"][1]["decision_id"], "newer")

    for handler in (later, lambda question: Opinion(question["decisions"][1]["decision_id"], "newer")):
        opinions = Opinions()
        opinions.set_handler(handler)
        assert json.loads(await opinions.answer(QUESTION)) == {"decision_id": 9, "reason": "newer"}


async def test_who_has_no_opinion_says_so() -> None:
    opinions = Opinions()
    with pytest.raises(HandlerError, match="no opinion"):
        await opinions.answer(QUESTION)
    opinions.set_handler(lambda _: None)
    with pytest.raises(HandlerError, match="no opinion"):
        await opinions.answer(QUESTION)


def test_there_is_one_function_for_decisions() -> None:
    opinions = Opinions()
    opinions.set_handler(lambda _: None)
    with pytest.raises(SettingsError, match="already"):
        opinions.set_handler(lambda _: None)
