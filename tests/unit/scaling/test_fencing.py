"""The epoch on what a leader writes in a cluster, and selectors as queries say them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_scaling.drivers.cluster import selector_text
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION, admit, epoch_of, marked
from tercio_scaling.drivers.protocol import Fenced, Refused

EPOCHS = st.builds(Epoch, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))


def thing(epoch: object = None) -> dict[str, Any]:
    annotations = {} if epoch is None else {"annotations": {EPOCH_ANNOTATION: str(epoch)}}
    return {"metadata": {"name": "thing", "resourceVersion": "7", **annotations}}


@given(EPOCHS)
def test_an_epoch_that_was_written_is_read(epoch: Epoch) -> None:
    written = marked(thing(), epoch)
    assert epoch_of({"metadata": {"name": "thing", **written}}) == epoch
    assert written["resourceVersion"] == "7"


@given(EPOCHS, EPOCHS)
def test_who_writes_is_not_below_who_wrote(written: Epoch, own: Epoch) -> None:
    if written > own:
        with pytest.raises(Fenced):
            admit(thing(written), own)
    else:
        admit(thing(written), own)


def test_what_no_leader_wrote_is_anyones() -> None:
    assert epoch_of(thing()) == NO_EPOCH
    admit(thing(), NO_EPOCH)


@pytest.mark.parametrize("text", ["", "7", "1.", ".1", "1.x", "-1.2", "1.2.3"])
def test_what_is_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        admit(thing(text), Epoch(9, 9))
    assert refused.value.reason == "InvalidEpoch"


def test_a_selector_is_said_as_a_query() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
        {"key": "ready", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": expressions}
    assert selector_text(selector) == "a=1,b=2,tier in (a,b),zone notin (c),ready,!old"
    with pytest.raises(Refused, match="not known"):
        selector_text({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]})
