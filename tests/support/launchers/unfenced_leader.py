"""Mutation of G3: a leader that does not notice its loss, and a journal without the fence."""

from __future__ import annotations

from dataclasses import replace

from support.launchers.launch import launch
from support.launchers.stale_leader import stale
from support.launchers.stale_ports import UnfencedJournal
from tercio_common.composition import Ports
from tercio_common.journal.etcd import EtcdJournal


def unfenced(ports: Ports) -> Ports:
    """Take the fence away too."""
    assert isinstance(ports.journal, EtcdJournal)
    return stale(replace(ports, journal=UnfencedJournal(ports.journal)))


if __name__ == "__main__":
    launch(unfenced)
