"""Stands between an agent and the command that it runs, so that the command never outlives the agent.

An agent that is killed with SIGKILL cannot clean up, and the kernel's parent-death signal reaches a child but not the
child's children: a shell script would die and leave what it started. So this process holds the reading end of a pipe,
the lifeline, whose writing end only the agent has. When the agent dies or closes it, the command's whole process group
is killed. The command itself also has the parent-death signal, in case this process is the one that is killed.

It promises that when it has ended, every process of the command's group has been killed, and that its own exit status
is the command's (128 + n for signal n, as in a shell; 127 when there is no such command). It does not reach processes
that left the group on purpose (setsid).

On a terminal that the agent has, the command has it while it runs: it may ask, and Ctrl-C is its own. It cannot be
suspended, because who is stopped cannot renew what it holds.

It runs as a script in an isolated interpreter and imports only what starts quickly: it costs each attempt some 15 ms.

    python -I -S exec_guard.py LIFELINE_FD COMMAND [ARGUMENT]...
"""

from __future__ import annotations

import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


def main(lifeline: int, command: list[str]) -> int:
    """Run the command until it ends or the lifeline breaks; return the exit status to leave with."""
    wakeup, wake = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    guard, front = os.getpid(), _front()
    child = os.fork()
    if child == 0:
        _become(command, guard, (lifeline, wakeup, wake), on_terminal=bool(front))
    # Both sides set the group, so that it exists whoever is first.
    _set_group(child)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: _kill(child, received))
    # A signal that came before its handler was set ended this process, and the parent-death signal the command.
    code = _wait(child, lifeline, wakeup, on_terminal=bool(front))
    if front:
        _put_in_front(front)
    return code


def _wait(child: int, lifeline: int, wakeup: int, *, on_terminal: bool) -> int:
    # The first of the group is reaped last: until then its number, which names the group, cannot be given to another.
    while not _has_ended(child, on_terminal=on_terminal):
        readable, _, _ = select.select([lifeline, wakeup], [], [])
        if wakeup in readable:
            os.read(wakeup, 512)
        if lifeline in readable and not os.read(lifeline, 512):
            _kill(child, signal.SIGKILL)
            break
    _kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _has_ended(child: int, *, on_terminal: bool) -> bool:
    """Look without reaping; one that was suspended on our terminal goes on."""
    seen = os.waitid(os.P_PID, child, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    if seen is not None and seen.si_code == os.CLD_STOPPED:
        if on_terminal:
            _kill(child, signal.SIGCONT)
        return False
    return seen is not None


def _front() -> int:
    """Return the group that has the terminal if it is that of the process which started this one, else 0."""
    try:
        front = os.tcgetpgrp(0) if os.isatty(0) else 0
        return front if front == os.getpgid(os.getppid()) else 0
    except OSError:
        return 0


def _put_in_front(group: int) -> None:
    """Give the terminal to a group; this one may be in the background."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.tcsetpgrp(0, group)
    except OSError:
        return


def _become(command: list[str], guard: int, private: tuple[int, ...], *, on_terminal: bool) -> None:
    """Turn this forked process into the command; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in private:
            os.close(descriptor)
        os.setpgid(0, 0)
        if on_terminal:
            _put_in_front(os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        _die_with(guard)
        os.execvp(command[0], command)  # noqa: S606  # running it is what the operator asked for
    except FileNotFoundError:
        os.write(2, f"{command[0]}: not found\n".encode())
        os._exit(_NOT_FOUND)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(_NOT_EXECUTABLE)


def _die_with(parent: int) -> None:
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def _set_group(child: int) -> None:
    try:
        os.setpgid(child, child)
    except (PermissionError, ProcessLookupError):
        return


def _kill(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (PermissionError, ProcessLookupError):
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
