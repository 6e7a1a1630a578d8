"""Mutation of the fence between services: a call counts whichever leader makes it."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch_registry
from tercio_common.journal.peer_epochs import PeerEpochs
from tercio_common.machine.calls import Peer


def _believe(epochs: Any, peer: Peer) -> bool:
    return bool(peer.epoch > epochs._known(peer))


if __name__ == "__main__":
    mutated: Any = PeerEpochs
    mutated.is_news = _believe
    launch_registry()
