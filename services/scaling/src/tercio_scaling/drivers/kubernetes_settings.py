"""The settings of the drivers for Kubernetes: section `scaling.kubernetes`."""

from __future__ import annotations

from pydantic import Field

from tercio_common.settings import Section


class KubernetesSettings(Section):
    """How the API server is found, and how long it may take."""

    kubeconfig: str = ""
    """The file that says where the API server is and who calls. If empty, what the variable KUBECONFIG names; without
    one, the service account of the Pod that the service runs in."""
    call_timeout_ms: int = Field(default=10_000, ge=100, le=60_000)
    """Longest call, in ms, 100 ms to 1 min: ten seconds outlast a restart of one API server of several."""
    watch_ms: int = Field(default=240_000, ge=1_000, le=3_600_000)
    """Longest watch before it is opened anew where it ended, in ms, 1 s to 1 h: a connection that died without a word
    is found out by then, and until then the pools are looked at every interval all the same."""
    choice_ms: int = Field(default=500, ge=0, le=60_000)
    """From marking the Pods that are to leave to scaling their Deployment down, in ms, 0 to 1 min: its controller reads
    marks and replicas by different ways. Where programs wait for a core, one Pod in twenty is another one all the same.
    """
    concurrency: int = Field(default=16, ge=1, le=256)
    """Calls about single Pods under way at once, 1 to 256: API servers slow a caller down that has hundreds."""
