"""Reviews files with a language model, which is simulated: each call takes as many tokens, and as long, as it reads.

A call is made once the budget has leased its tokens, so however many reviews run at once, they stay within it together.

Usage: python examples/tickets/review.py libs/tercio/src/tercio/budgets.py ...
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tercio import Client

_BUDGET = "reviewer"
_CHARACTERS_A_TOKEN = 4
_TOKENS_A_SECOND = 20_000
"""How fast the model reads."""


async def _review(texts: list[str]) -> str:
    spent, remarks = 0, 0
    async with Client() as client, client.budgets() as budget:
        for text in texts:
            async with budget.tokens(_BUDGET, len(text) // _CHARACTERS_A_TOKEN) as call:
                await asyncio.sleep(call.reserved.tokens / _TOKENS_A_SECOND)
                remarks += text.count("TODO")
                spent += call.reserved.tokens
    return f"{len(texts)} files reviewed for {spent} tokens, {remarks} remarks"


if __name__ == "__main__":
    print(asyncio.run(_review([Path(name).read_text(encoding="utf-8") for name in sys.argv[1:]])))
