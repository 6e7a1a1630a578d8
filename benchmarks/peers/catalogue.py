"""Who is compared: each peer, the program that puts it under load, and the bar that Tercio sets itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Server(Enum):
    """The program that a peer needs besides its Python packages."""

    NONE = "none"
    REDIS = "redis-server"
    NATS = "nats-server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One system, set up in one way.

    Attributes:
        name: on the command line.
        title: in the table.
        program: a file in `programs`.
        environment: which virtual environment runs it: a file in `requirements`.
        arguments: of the program.
        bar: how many times its rate Tercio's should be; 0 where there is no bar.
    """

    name: str
    title: str
    program: str
    environment: str
    server: Server = Server.NONE
    arguments: tuple[str, ...] = ()
    bar: float = 0.0


TERCIO: Final = "tercio"

PEERS: Final = (
    Peer(name="ray", title="Ray, tasks", program="ray_tasks.py", environment="ray", bar=20),
    Peer(
        name="ray-actors",
        title="Ray, 8 actors",
        program="ray_tasks.py",
        environment="ray",
        arguments=("--actors",),
        bar=8,
    ),
    Peer(name="dask", title="Dask distributed", program="dask_futures.py", environment="dask"),
    Peer(
        name="celery",
        title="Celery, Redis",
        program="celery_tasks.py",
        environment="celery",
        server=Server.REDIS,
        bar=60,
    ),
    Peer(
        name="celery-fsync",
        title="Celery, Redis, appendfsync always",
        program="celery_tasks.py",
        environment="celery",
        server=Server.REDIS,
        arguments=("--fsync",),
    ),
    Peer(
        name="dramatiq",
        title="Dramatiq, Redis",
        program="dramatiq_actors.py",
        environment="dramatiq",
        server=Server.REDIS,
        bar=15,
    ),
    Peer(
        name="dramatiq-fsync",
        title="Dramatiq, Redis, appendfsync always",
        program="dramatiq_actors.py",
        environment="dramatiq",
        server=Server.REDIS,
        arguments=("--fsync",),
    ),
    Peer(
        name="nats",
        title="NATS JetStream",
        program="jetstream_queue.py",
        environment="nats",
        server=Server.NATS,
        bar=1.5,
    ),
    Peer(
        name="nats-fsync",
        title="NATS JetStream, sync_interval always",
        program="jetstream_queue.py",
        environment="nats",
        server=Server.NATS,
        arguments=("--fsync",),
    ),
)
