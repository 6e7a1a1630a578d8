"""Dask distributed: `Client.map` over a local cluster, results gathered a batch at a time.

One worker process a core with one thread each, as is recommended for pure Python code that holds the interpreter lock,
https://docs.dask.org/en/stable/best-practices.html . `map` submits a whole batch in one message,
https://distributed.dask.org/en/stable/api.html#distributed.Client.map .
"""

from __future__ import annotations

import os

import load
from distributed import Client, Future, LocalCluster

_BATCH = 500
_BATCHES = 4


def _nothing(_: int) -> None:
    """Return at once."""


def main() -> None:
    """Measure and tell."""
    asked = load.arguments()
    with (
        LocalCluster(
            n_workers=os.cpu_count(),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(asked.folder),
        ) as cluster,
        Client(cluster) as client,
    ):

        def submit(count: int) -> list[Future]:
            return client.map(_nothing, range(count), pure=False)

        measured = load.measure(submit, client.gather, batch=_BATCH, batches=_BATCHES, asked=asked)
    load.tell(measured, ["distributed"])


if __name__ == "__main__":
    main()
