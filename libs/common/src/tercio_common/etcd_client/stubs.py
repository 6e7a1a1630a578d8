"""The generated messages and stubs of etcd's API, as `aetcd` carries them.

They are made at run time, so a type checker sees nothing of them: they are `Any` here, and `requests.py` gives the few
messages that we build a typed face. Nothing else of `aetcd` is used: its client knows one endpoint and no TLS.
"""

from __future__ import annotations

from typing import Any

from aetcd import rpc

api: Any = rpc
