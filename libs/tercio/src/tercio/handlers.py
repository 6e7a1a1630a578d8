"""The functions that do the work, by task type."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from tercio.context import BlockingContext, Context
from tercio.errors import SettingsError

AsyncHandler: TypeAlias = Callable[[Context], Coroutine[Any, Any, Any]]
PlainHandler: TypeAlias = Callable[[BlockingContext], Any]
HandlerT = TypeVar("HandlerT", bound=AsyncHandler | PlainHandler)

ANY_TYPE: Final = "*"
_TYPE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Handler(NamedTuple):
    """A registered function; a plain one runs in a thread."""

    function: Callable[[Any], Any]
    is_plain: bool


class Handlers:
    """Finds the handler of a task type."""

    def __init__(self) -> None:
        self._by_type: dict[str, Handler] = {}

    def add(self, task_type: str, function: AsyncHandler | PlainHandler) -> None:
        """Register a function for a type, or for every type without one of its own when it is `*`.

        Raises:
            SettingsError: the type is malformed or taken.
        """
        if task_type != ANY_TYPE and not _TYPE.fullmatch(task_type):
            raise SettingsError(f"{task_type!r} is not a task type: 1 to 128 characters of [A-Za-z0-9._-], or *")
        if task_type in self._by_type:
            raise SettingsError(f"task type {task_type!r} has a handler already")
        self._by_type[task_type] = Handler(function, is_plain=not _is_async(function))

    def get(self, task_type: str) -> Handler | None:
        """Return the handler of a type, or None."""
        return self._by_type.get(task_type) or self._by_type.get(ANY_TYPE)

    def __iter__(self) -> Iterator[str]:
        """Yield the types to announce: none when any type will do."""
        return iter(() if ANY_TYPE in self._by_type else self._by_type)


def _is_async(function: Callable[..., Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  # the method itself is inspected, callable or not
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(call)
