"""What holds for every test: the seed is printed, unit tests are fast, no thread is left behind, etcd is real."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from support.etcd_server import EtcdServer

# A unit test is pure code on fake time. What is counted is its own: on a loaded machine it waits for its turn.
_UNIT_PROCESSOR_S = 2
_UNIT_TIMEOUT_S = 20

# The same cases on every run, so that a red build is red for its change; a loaded machine is slow, which is no failure.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("dev", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

_SEED = int(os.environ.get("TERCIO_TEST_SEED") or random.SystemRandom().randrange(2**32))
os.environ["TERCIO_TEST_SEED"] = str(_SEED)  # one for the run, also where several processes share its tests


def pytest_configure() -> None:
    """Leave cycles alone: each test has an event loop of its own, and grpc.aio is sound with one loop a process only.

    After a few hundred loops the collector now and then finds a tuple of gRPC's with an object that is freed already,
    and the interpreter dies of it. Servers and agents have one loop; reference counts free all that matters here.
    """
    gc.disable()


def pytest_unconfigure() -> None:
    gc.freeze()  # also from the collection when the interpreter ends


def pytest_report_header() -> str:
    return f"seed: {_SEED} (repeat with TERCIO_TEST_SEED={_SEED})"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unit = config.rootpath / "tests/unit"
    for item in items:
        if item.path.is_relative_to(unit) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_UNIT_TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    began = time.process_time()
    yield
    took = time.process_time() - began
    if item.path.is_relative_to(item.config.rootpath / "tests/unit"):
        assert took <= _UNIT_PROCESSOR_S, f"a unit test took {took:.1f} s of the processor"


@pytest.fixture
def seed() -> int:
    """Return the seed of this run, from which a test makes its own `random.Random`."""
    return _SEED


@pytest.fixture(autouse=True)
def _no_thread_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before and not thread.daemon]
    assert not left, f"the test left threads running: {left}"


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Yield one etcd member for the whole run: use a key prefix of your own, and never kill it."""
    with EtcdServer.started(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
def start_etcd(tmp_path: Path) -> Iterator[Callable[..., EtcdServer]]:
    """Yield a function that starts a cluster for this test alone, to be killed and paused at will."""
    with contextlib.ExitStack() as running:

        def start(*, members: int = 1, **options: object) -> EtcdServer:
            folder = tmp_path / f"cluster-{len(list(tmp_path.iterdir()))}"
            return running.enter_context(EtcdServer.started(folder, members=members, **options))

        yield start
