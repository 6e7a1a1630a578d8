"""A real etcd to do harm to: one member or three, on loopback, in a folder of its own.

It promises endpoints that answer when `start` returns, members that can be killed, stopped in their tracks and brought
back one by one, and no process left when the context ends. It keeps fsync on, because some promises are about what
survives a kill; `fsync=False` is for speed where no member is killed.

    with EtcdCluster.started(folder, binary=find_etcd(), members=3) as etcd:
        etcd.pause(0)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tercio_common.errors import SettingsError
from tercio_common.free_ports import free_ports
from tercio_common.testing.chaos.stopping import stop

ETCD = "TERCIO_ETCD"
"""Environment variable: path of the etcd to use."""

# Three members elect a leader in about 1.5 s on an idle machine; a loaded two-core one was seen to take ten times that.
_READY_WITHIN_S = 30.0
# A free port can be taken by somebody else before etcd binds it.
_TRIES = 3


def find_etcd(path: Path | None = None) -> Path:
    """Return the etcd at that path, else the one that $TERCIO_ETCD names, else the one on PATH.

    Raises:
        SettingsError: there is none.
    """
    named = path or os.environ.get(ETCD)
    found = shutil.which(named or "etcd")
    if found is None:
        where = f"{named} is not a program" if named else "no etcd on PATH"
        raise SettingsError(f"{where}: install etcd 3.6.9 or newer and pass --etcd PATH, or set {ETCD}")
    return Path(found)


class EtcdNotReadyError(Exception):
    """The members did not become healthy; the message ends with what they logged."""


@dataclass(slots=True)
class _Member:
    """One process and where it keeps its things."""

    name: str
    folder: Path
    client_port: int
    peer_port: int
    process: subprocess.Popen[bytes] | None = None


class EtcdCluster:
    """One etcd cluster; members are addressed by their index."""

    def __init__(
        self, folder: Path, *, binary: Path, members: int = 1, fsync: bool = True, options: Sequence[str] = ()
    ) -> None:
        """Prepare a cluster; `options` are further command-line options of every member."""
        if members not in {1, 3}:
            raise ValueError(f"a cluster here has 1 member or 3, not {members}")
        self._binary = binary
        ports = free_ports(2 * members)
        self._members = [
            _Member(f"m{index}", folder / f"m{index}", ports[2 * index], ports[2 * index + 1])
            for index in range(members)
        ]
        self._options = [*options, *([] if fsync else ["--unsafe-no-fsync"])]

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, folder: Path, *, binary: Path, members: int = 1, fsync: bool = True, options: Sequence[str] = ()
    ) -> Iterator[Self]:
        """Yield a running cluster, and stop it at the end."""
        server = cls._start_on_free_ports(folder, binary=binary, members=members, fsync=fsync, options=options)
        try:
            yield server
        finally:
            server.stop()

    @classmethod
    def _start_on_free_ports(
        cls, folder: Path, *, binary: Path, members: int, fsync: bool, options: Sequence[str]
    ) -> Self:
        attempt = 1
        while True:
            server = cls(folder / f"etcd-{attempt}", binary=binary, members=members, fsync=fsync, options=options)
            try:
                server.start()
            except BaseException as error:
                server.stop()
                if attempt == _TRIES or "address already in use" not in str(error):
                    raise
                attempt += 1
            else:
                return server

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of every member, dead ones too."""
        return [f"127.0.0.1:{member.client_port}" for member in self._members]

    def start(self) -> None:
        """Start every member and wait until the cluster answers.

        Raises:
            EtcdNotReadyError: it does not answer in time, or a member ended.
        """
        for index in range(len(self._members)):
            self._spawn(index)
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Wait until every member answers; all of them run.

        Raises:
            EtcdNotReadyError: one does not answer in time, or ended.
        """
        for index in range(len(self._members)):
            self._wait_until_healthy(index)

    def kill(self, index: int = 0) -> None:
        """`kill -9` a member; its data stays."""
        member = self._members[index]
        if member.process is not None:
            member.process.kill()
            member.process.wait()
            member.process = None

    def restart(self, index: int = 0, *, wait: bool = True) -> None:
        """Bring a member back on its own data; `wait=False` where there is no quorum yet to be healthy in."""
        self.kill(index)
        self._spawn(index)
        if wait:
            self._wait_until_healthy(index)

    def pause(self, index: int = 0) -> None:
        """Stop a member in its tracks (SIGSTOP): its sockets stay open and nothing answers."""
        stop(self.pid(index))

    def resume(self, index: int = 0) -> None:
        """Let a paused member go on."""
        self._signal(index, signal.SIGCONT)

    def stop(self) -> None:
        """End every member at once; nothing is flushed that was not already durable."""
        for index in range(len(self._members)):
            self.kill(index)

    def pid(self, index: int = 0) -> int:
        """Return the process id of a running member."""
        return self._running(index).pid

    def log(self, index: int = 0) -> str:
        """Return what a member has logged so far."""
        path = self._members[index].folder / "etcd.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _running(self, index: int) -> subprocess.Popen[bytes]:
        process = self._members[index].process
        if process is None:
            raise RuntimeError(f"etcd member {index} is not running: call restart({index}) first")
        return process

    def _signal(self, index: int, number: signal.Signals) -> None:
        os.kill(self._running(index).pid, number)

    def _spawn(self, index: int) -> None:
        member = self._members[index]
        member.folder.mkdir(parents=True, exist_ok=True)
        peers = [f"{peer.name}=http://127.0.0.1:{peer.peer_port}" for peer in self._members]
        client, peer = (f"http://127.0.0.1:{port}" for port in (member.client_port, member.peer_port))
        command = [
            str(self._binary),
            f"--name={member.name}",
            f"--data-dir={member.folder / 'data'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={','.join(peers)}",
            "--initial-cluster-state=new",
            "--log-level=warn",
            *self._options,
        ]
        with (member.folder / "etcd.log").open("ab") as log:
            member.process = subprocess.Popen(  # noqa: S603 - the etcd that the caller chose
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if not key.startswith("ETCD_")},
            )

    def _wait_until_healthy(self, index: int) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not _healthy(self.endpoints[index]):
            ended = self._running(index).poll() is not None
            if ended or time.monotonic() > deadline:
                what = "ended" if ended else f"is not healthy after {_READY_WITHIN_S:.0f} s"
                raise EtcdNotReadyError(f"etcd member {index} {what}; its log ends:\n{self.log(index)[-2000:]}")
            time.sleep(0.02)


def _healthy(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{endpoint}/health", timeout=1.0) as reply:
            return bool(json.load(reply).get("health") == "true")
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, ValueError):
        return False
