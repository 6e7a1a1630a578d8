"""Brings a Docker engine up where none answers, for the tests in containers.

Why: an engine that was installed is not always started, on a machine without an init system for one. It promises an
engine that answers, or a message that says what to do. It needs only the standard library.

    python tools/docker_engine.py        prints the engine's version
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

_UP_WITHIN_S = 60.0
_POLL_S = 0.2


class NoEngineError(Exception):
    """There is none, and none could be started."""


def version() -> str:
    """Return the version of the engine that answers; empty when none does."""
    if shutil.which("docker") is None:
        return ""
    command = ("docker", "version", "--format", "{{.Server.Version}}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def start() -> str:
    """Return the version of the engine, which is started unless it answers.

    Raises:
        NoEngineError: it is not installed, may not be started by this user, or does not come up in a minute.
    """
    if found := version():
        return found
    daemon = shutil.which("dockerd")
    if daemon is None or shutil.which("docker") is None:
        raise NoEngineError("no Docker engine answers and none is installed: install docker, or set DOCKER_HOST")
    if os.geteuid() != 0:
        raise NoEngineError("the Docker engine does not run; start it, for example with `sudo systemctl start docker`")
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([daemon], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    deadline = time.monotonic() + _UP_WITHIN_S
    while not (found := version()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NoEngineError(f"{daemon} did not come up; run it by hand to see why")
        time.sleep(_POLL_S)
    return found


def main() -> int:
    """Print the version; return the exit code."""
    try:
        print(start())
    except NoEngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
