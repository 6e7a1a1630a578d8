"""What the prober runs: `take FILE` keeps the configuration on stdin if it is well-formed, `run FILE` does as it says.

A command that does not exist is well-formed as well, so it shows only when it is run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def main(verb: str, file: Path) -> int:
    """Take a configuration, or run the command of the one that was taken; return the exit code."""
    if verb == "take":
        text = sys.stdin.read()
        command = json.loads(text).get("command", ["true"])
        if not (command and all(isinstance(word, str) for word in command)):
            print("the command must be a list of words", file=sys.stderr)
            return 1
        file.write_text(json.dumps(command), encoding="utf-8")
        return 0
    try:
        return subprocess.run(json.loads(file.read_text(encoding="utf-8")), check=False).returncode
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
