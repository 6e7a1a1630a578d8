"""The guard that makes a leader's writes exclusive in etcd."""

from __future__ import annotations

from tercio_common.epochs import Epoch
from tercio_common.etcd_client.requests import Compare, created_at, value_is
from tercio_common.journal.keys import Keys

FIRST_GENERATION = 1
"""In force while the key does not exist."""


def leads(keys: Keys, epoch: Epoch) -> list[Compare]:
    """Hold while this epoch's election key exists and the generation is unchanged; once false, false for ever.

    A key is created at a revision at most once, so the comparison is as good as a number that only rises.
    """
    return [created_at(keys.election, epoch.revision), generation_is(keys, epoch.generation)]


def generation_is(keys: Keys, generation: int) -> Compare:
    """Hold while this is the store's generation."""
    if generation == FIRST_GENERATION:
        return created_at(keys.generation, 0)
    return value_is(keys.generation, b"%d" % generation)
