"""`tercio claim` and `tercio claims` as processes, in real working trees of git, against a real fleet."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli_processes import alive, eventually
from support.git_trees import GitTree

pytestmark = pytest.mark.timeout(120)

WAIT = "echo started > started; while [ ! -e go ]; do sleep 0.02; done"
"""Runs until the test lets it go on."""


class Here:
    """A working tree in which `tercio` is called."""

    def __init__(self, tree: GitTree, address: str) -> None:
        self.tree = tree
        self.top = tree.top
        self.environment = {**tree.environment, "TERCIO_ADDRESS": address}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tercio.cli", *arguments],
            cwd=self.top,
            env=self.environment,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options},  # type: ignore[call-overload]
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def holding(self, *arguments: str, script: str = WAIT) -> subprocess.Popen[str]:
        """Start a command under claims and return when it runs."""
        process = self.start("claim", *arguments, "--", "sh", "-c", script)
        eventually(lambda: (self.top / "started").exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process


@pytest.fixture
def here(fleet: str, tmp_path: Path) -> Iterator[Here]:
    here = Here(GitTree.create(tmp_path / "repository"), fleet)
    yield here
    for process in here.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_command_has_its_input_output_tokens_and_exit_code(here: Here) -> None:
    done = here.start(
        "claim",
        "a",
        "--",
        "sh",
        "-c",
        'cat; echo "$TERCIO_CLAIM_TOKENS" "$TERCIO_CLAIM_SCOPE"; exit 9',
        stdin=subprocess.PIPE,
    )
    stdout, _ = done.communicate("hello\n", timeout=60)
    hello, facts = stdout.splitlines()
    number, token = facts.split()[0].split(":")
    assert (hello, done.returncode, facts.split()[1]) == ("hello", 9, str(here.top / ".git"))
    assert token.endswith(f".{number}")
    assert "nothing is claimed" in here.run("claims", "list", "**").stderr


def test_claims_collide_over_working_trees_and_are_released_with_the_command(here: Here, tmp_path: Path) -> None:
    second = Here(here.tree.worktree(tmp_path / "second", "second"), here.environment["TERCIO_ADDRESS"])
    process = here.holding("src/")
    refused = second.run("claim", "src/*.py", "--", "true")
    assert refused.returncode == 4
    assert "CLAIM_CONFLICT" in refused.stderr
    waiting = second.start("claim", "--wait", "60s", "src/*.py", "--", "echo", "mine")
    (here.top / "go").touch()
    assert process.wait(60) == 0
    stdout, _ = waiting.communicate(timeout=60)
    assert (stdout, waiting.returncode) == ("mine\n", 0)


def test_names_are_meant_from_where_one_stands_and_folders_with_all_that_is_in_them(here: Here) -> None:
    here.tree.commit({"app/[slug]/page.tsx": "", "docs/a": ""})
    here.top = here.top / "app"
    process = here.holding("[slug]/page.tsx", "../docs", "*.css", "new/")
    listed = here.run("claims", "list", "/".join(["..", "**"]), "-o", "json")
    (here.top / "go").touch()
    assert process.wait(60) == 0
    assert [line.split('"')[3] for line in listed.stdout.splitlines() if '"name"' in line] == [
        "app/[slug]/page.tsx",
        "docs/**",
        "app/*.css",
        "app/new/**",
    ]
    outside = here.run("claim", "../../x", "--", "true")
    assert (outside.returncode, "is not in" in outside.stderr) == (2, True)


def test_a_signal_reaches_the_command_and_claims_are_released_after_its_end(here: Here) -> None:
    process = here.holding("a", script=f"trap 'echo caught; exit 7' TERM; {WAIT}")
    process.send_signal(signal.SIGTERM)
    stdout, _ = process.communicate(timeout=60)
    assert (stdout, process.returncode) == ("caught\n", 7)
    assert "nothing is claimed" in here.run("claims", "list", "**").stderr


def test_a_command_is_stopped_with_its_children_when_its_claims_are_released_by_others(here: Here) -> None:
    process = here.holding("a", script=f"sleep 600 & echo $! > child; {WAIT}")
    (number,) = here.run("claims", "list", "**", "-o", "name").stdout.split()
    assert here.run("claims", "release", number).stdout == "1 released\n"
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "the claims on a were lost" in stderr
    eventually(lambda: not alive(int((here.top / "child").read_text())))


def test_a_holder_that_is_killed_takes_its_command_along(here: Here) -> None:
    process = here.holding("--ttl", "4s", "a", script=f"echo $$ > child; {WAIT}")
    process.kill()
    eventually(lambda: not alive(int((here.top / "child").read_text())))
    assert here.run("claim", "--wait", "60s", "a", "--", "true").returncode == 0


def test_a_holder_that_was_stopped_for_longer_than_its_lease_stops_its_command(here: Here) -> None:
    process = here.holding("--ttl", "4s", "a", script=f"echo $$ > child; {WAIT}")
    process.send_signal(signal.SIGSTOP)
    assert here.run("claim", "--wait", "60s", "a", "--", "true").returncode == 0
    assert alive(int((here.top / "child").read_text()))
    process.send_signal(signal.SIGCONT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "were lost" in stderr) == (4, True)
    eventually(lambda: not alive(int((here.top / "child").read_text())))


def test_who_asks_for_a_claim_is_told_to_its_holder(here: Here) -> None:
    process = here.holding("a")
    (number,) = here.run("claims", "list", "a", "-o", "name").stdout.split()
    asked = here.run("claims", "request", number, "--because", "the build is red", "--as", "eve", "--priority", "1")
    assert "YIELDING" in asked.stdout
    _, stderr = process.communicate(timeout=60)
    assert "eve asks for it: the build is red" in stderr
    assert (process.returncode, "were lost" in stderr) == (4, True)


def test_a_watch_shows_grants_and_releases(here: Here) -> None:
    watch = here.start("claims", "watch", "-o", "name")
    process = here.holding("a")
    assert watch.stdout is not None
    granted = watch.stdout.readline()
    (here.top / "go").touch()
    assert process.wait(60) == 0
    assert watch.stdout.readline() == granted


def test_on_a_terminal_the_command_has_it(here: Here) -> None:
    ours, theirs = pty.openpty()
    script = "read line; echo got $line; kill -TSTP $$; echo went on"
    process = here.start(
        "claim",
        "a",
        "--",
        "sh",
        "-c",
        script,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    os.write(ours, b"words\n")
    said = b""
    while b"went on" not in said:
        said += os.read(ours, 1024)
    assert b"got words" in said
    assert process.wait(60) == 0
    os.close(ours)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a"], "give the command after --"),
        (["--kind", "branch", "--ttl", "soon", "main", "--", "true"], "is not a duration"),
        (["--", "true"], "Missing argument"),
    ],
    ids=["no command", "bad ttl", "no name"],
)
def test_what_makes_no_sense_is_refused(here: Here, arguments: list[str], why: str) -> None:
    done = here.run("claim", *arguments)
    assert done.returncode == 2
    assert why in done.stderr


def test_a_claim_within_a_claim_of_the_same_owner_joins_it(here: Here) -> None:
    inner = f"{sys.executable} -m tercio.cli claim src/a"
    show = "-- sh -c 'echo $TERCIO_CLAIM_TOKENS'"
    nested = here.run("claim", "src/", "--", "sh", "-c", f'{inner} --owner "$TERCIO_CLAIM_OWNER" {show}')
    assert (nested.returncode, len(nested.stdout.split())) == (0, 2)
    assert here.run("claim", "src/", "--", "sh", "-c", f"{inner} {show}").returncode == 4


def test_without_a_repository_the_scope_must_be_said(here: Here, tmp_path: Path) -> None:
    here.top = tmp_path
    here.environment["GIT_CEILING_DIRECTORIES"] = str(tmp_path.parent)
    refused = here.run("claim", "a", "--", "true")
    assert (refused.returncode, "--scope" in refused.stderr) == (2, True)
    assert here.run("claim", "--scope", "shop", "a", "--", "true").returncode == 0
    assert here.run("claim", "--kind", "topic", "naming", "--", "true").returncode == 0
