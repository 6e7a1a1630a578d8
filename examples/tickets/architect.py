"""Says which of two decisions that contradict each other prevails: the one whose author is surer of it.

It reads the question as JSON, and prints the answer; `tercio agent exec --on-decide` runs it.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer one question."""
    asked = json.load(sys.stdin)
    surest = max(asked["decisions"], key=lambda decision: decision["confidence"])
    print(json.dumps({"decision_id": surest["decision_id"], "reason": f"{surest['agent_id']} is surer of it"}))


if __name__ == "__main__":
    main()
