"""Ports for servers that are told each other's addresses before they listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tercio_common.free_ports import free_ports


def test_a_port_is_given_once_and_nobody_listens_on_it() -> None:
    ports = free_ports(3) + free_ports(3)
    assert len(set(ports)) == 6
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_port_that_is_taken_is_passed_over() -> None:
    (before,) = free_ports(1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", before + 1))
        assert before + 1 not in free_ports(2)


def test_no_connection_takes_one_as_its_near_end() -> None:
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not ephemeral.exists():
        pytest.skip("not Linux")
    assert max(free_ports(50)) < int(ephemeral.read_text().split()[0])
