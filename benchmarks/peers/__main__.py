"""`python -m benchmarks.peers`: runs Tercio beside its peers in interleaved rounds; prints ratios, bars, versions."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.peers.catalogue import PEERS, TERCIO, Peer
from benchmarks.peers.comparison import Sample, verdicts
from benchmarks.peers.environments import Environment, UnavailableError, cache, prepare
from benchmarks.peers.report import as_json, as_text
from benchmarks.peers.rounds import ProgramError, run_peer, run_tercio

# Long enough for a 99th percentile at 50 tasks a second.
_PACED_S = 5.0
_SMOKE = (TERCIO, "dramatiq")


def main() -> int:
    """Compare; return the exit code: 1 when a participant failed or, with --strict, a bar was missed or none judged."""
    arguments = _arguments()
    # So that what is running is cleaned up then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    wanted = _SMOKE if arguments.smoke else arguments.only
    rounds = 1 if arguments.smoke else arguments.rounds
    peers, absent = _prepared((peer for peer in PEERS if peer.name in wanted), arguments.cache)
    if arguments.setup:
        print("\n".join(f"{name}: {why}" for name, why in absent.items()) or "every peer is set up")
        return 1 if absent else 0
    samples: dict[str, list[Sample]] = {name: [] for name in ([TERCIO] if TERCIO in wanted else [])}
    samples |= {peer.name: [] for peer in peers}
    failed = _run(samples, peers, rounds=rounds, seconds=arguments.seconds, folder=arguments.folder)
    print((as_json if arguments.json else as_text)(samples, absent | failed, os.getloadavg()))
    judged = verdicts(samples, PEERS)
    missed = arguments.strict and (absent or not judged or not all(one.passed for one in judged))
    return 1 if failed or missed else 0


def _prepared(peers: Iterable[Peer], folder: Path) -> tuple[dict[Peer, Environment], dict[str, str]]:
    found: dict[Peer, Environment] = {}
    absent: dict[str, str] = {}
    for peer in peers:
        try:
            found[peer] = prepare(peer, folder)
        except UnavailableError as error:
            absent[peer.name] = f"not run: {error}"
            print(f"{peer.name} is left out: {error}", file=sys.stderr)
    return found, absent


def _run(
    samples: dict[str, list[Sample]],
    peers: dict[Peer, Environment],
    *,
    rounds: int,
    seconds: float,
    folder: str | None,
) -> dict[str, str]:
    """Add to the samples; return who failed and why. Who failed once takes no further part."""
    by_name = {peer.name: (peer, environment) for peer, environment in peers.items()}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for name in [name for name in samples if name not in failed]:
            try:
                if name == TERCIO:
                    sample = run_tercio(seconds=seconds, folder=folder)
                else:
                    peer, environment = by_name[name]
                    sample = run_peer(peer, environment, seconds=seconds, paced_seconds=_PACED_S, folder=folder)
            except ProgramError as error:
                failed[name] = f"failed: {error}"
                print(f"{name} failed: {error}", file=sys.stderr)
                continue
            samples[name].append(sample)
            print(f"round {number + 1} of {rounds}: {name} {sample.rate:,.0f} tasks/s", file=sys.stderr)
    return failed


def _names(text: str) -> list[str]:
    known = [TERCIO, *(peer.name for peer in PEERS)]
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    return names


def _arguments() -> argparse.Namespace:
    everybody = ",".join([TERCIO, *(peer.name for peer in PEERS)])
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="each runs every participant once (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="throughput is measured for (default: %(default)s)")
    parser.add_argument("--only", type=_names, default=everybody, metavar="NAMES", help="of %(default)s")
    parser.add_argument("--smoke", action="store_true", help="one round of Tercio and Dramatiq")
    parser.add_argument("--json", action="store_true", help="every sample, for programs")
    parser.add_argument("--strict", action="store_true", help="fail when a bar is missed or cannot be judged")
    parser.add_argument("--setup", action="store_true", help="only install the peers")
    parser.add_argument("--cache", type=Path, default=cache(), help="where peers are installed (default: %(default)s)")
    parser.add_argument("--folder", help="where servers write; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
