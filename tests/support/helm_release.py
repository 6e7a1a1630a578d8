"""The chart, rendered or installed on the cluster that KUBECONFIG names, by the programs `helm` and `kubectl`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from support.processes import ROOT

CHART: Final = ROOT / "deploy/helm/tercio"
NAME: Final = "tercio"
"""Of the release, and so the first part of the name of everything in it."""

_ETCD_IMAGE: Final = "TERCIO_ETCD_IMAGE"
"""Name and tag of an image of etcd, where the public one cannot be pulled."""
_RENDERED_FOR: Final = "1.36.0"
_UP_WITHIN: Final = "3m"
_RESTRICTED: Final = "pod-security.kubernetes.io/enforce=restricted"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


class CommandError(AssertionError):
    """A program ended with another code than 0; the message is what it said."""


def run(*command: str, text: str | None = None) -> str:
    """Run a program to its end and return its output.

    Raises:
        CommandError: it failed.
    """
    assert shutil.which(command[0]), f"{command[0]} is not on PATH"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"{' '.join(command)} failed: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def rendered(values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the objects of the chart, its hooks and tests included.

    Raises:
        CommandError: the values are refused.
    """
    text = run(
        "helm", "template", NAME, str(CHART), "--namespace", "fleet", "--kube-version", _RENDERED_FOR, "--values", "-",
        text=json.dumps(values or {}),
    )  # fmt: skip
    return [found for found in yaml.safe_load_all(text) if found]


class Release:
    """The chart as it is installed in a namespace of its own."""

    def __init__(self, namespace: str, values: Mapping[str, Any]) -> None:
        """Use `installed`."""
        self.namespace = namespace
        self.has_volumes = _has_volumes()
        self._values = values

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl in the release's namespace."""
        return run("kubectl", "--namespace", self.namespace, *arguments, text=text)

    def helm(self, verb: str, *arguments: str) -> str:
        """Run a verb of helm on the release."""
        return run("helm", verb, NAME, "--namespace", self.namespace, *arguments)

    def install(self) -> None:
        """Install the chart and wait until everything is ready."""
        self.helm("install", str(CHART), "--wait", "--timeout", _UP_WITHIN, *self._flags())

    def upgrade(self, values: Mapping[str, Any]) -> None:
        """Change values and wait until everything is ready."""
        self._values = {**self._values, **values}
        self.helm("upgrade", str(CHART), "--wait", "--timeout", _UP_WITHIN, *self._flags())

    def shell(self, line: str) -> str:
        """Run a line as it was shown to people."""
        return run("sh", "-c", line)

    def objects(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return the objects of a kind."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, "--selector", selector, "--output", "json"))
        items: list[dict[str, Any]] = found["items"]
        return items

    @contextlib.contextmanager
    def forwarded(self, name: str, port: int, *, kind: str = "service") -> Iterator[str]:
        """Yield an address of this machine that leads to a Service, as `kubectl port-forward` does for anybody."""
        command = ["kubectl", "--namespace", self.namespace, "port-forward", f"{kind}/{name}", f":{port}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, f"kubectl port-forward said {said!r}"
            yield f"127.0.0.1:{found[1]}"
        finally:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _flags(self) -> list[str]:
        """Return what tells helm the values, and what the cluster has and has not."""
        etcd: dict[str, Any] = {"persistence": {"enabled": self.has_volumes}}
        if image := os.environ.get(_ETCD_IMAGE):
            repository, _, tag = image.rpartition(":")
            etcd["image"] = {"repository": repository, "tag": tag}
        both = {**self._values, "etcd": {**etcd, **self._values.get("etcd", {})}}
        return [part for name, value in both.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]


@contextlib.contextmanager
def installed(values: Mapping[str, Any]) -> Iterator[Release]:
    """Yield the chart, installed in a namespace that takes no Pods but restricted ones; at the end it is gone."""
    release = Release(f"tercio-{uuid.uuid4().hex[:8]}", values)
    run("kubectl", "create", "namespace", release.namespace)
    try:
        run("kubectl", "label", "namespace", release.namespace, _RESTRICTED)
        try:
            release.install()
        except CommandError as error:
            raise CommandError(f"{error}\n{release.kubectl('get', 'pods,events')}") from None
        yield release
    finally:
        run("kubectl", "delete", "namespace", release.namespace, "--wait=false")


def _has_volumes() -> bool:
    """Tell whether the cluster gives volumes to whoever claims one."""
    found = json.loads(run("kubectl", "get", "storageclass", "--output", "json"))["items"]
    return any(each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true" for each in found)
