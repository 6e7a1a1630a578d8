"""What configurations of a type of agent must conform to: JSON Schema, draft 2020-12, at a bounded cost.

A schema comes from outside and runs on the leader, between two commits. So it refers only to itself; its patterns are
RE2's, which take linear time; and each validation has a budget of steps, for nested alternatives grow exponentially.
What a step costs grows with what it looks at, and with what it has to say about it. To compile one costs as well, so
what a new one may hold of objects and of patterns is bounded. One that was taken before is compiled as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import re2
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from tercio_common.errors import FieldViolation
from tercio_registry.state.documents import DocumentError, canonical, parse

MAX_SCHEMA_BYTES: Final = 16_384
_MOST_STEPS: Final = 20_000
"""Some 50 ms, at worst a few times as much; an ordinary document takes a few hundred."""
_SIZE_PER_STEP: Final = 8
"""Members, elements or characters that cost as much as a step, with the keyword that is the slowest with each."""
_MESSAGE_PER_STEP: Final = 64
_MOST_VIOLATIONS: Final = 20
_MOST_CHARACTERS: Final = 300
_MOST_PATTERN: Final = 1_024
_MOST_OBJECTS: Final = 400
"""Each is checked against the schema of schemas, which takes a third of a millisecond."""
_MOST_INSTRUCTIONS: Final = 50_000
"""RE2's, of all patterns: some 20 ms, and at worst as much again for the last one. `^[a-z]+$` has four."""
_MEMORY: Final = 1 << 20
_ANY: Final = "patternProperties"
_DIALECT: Final = "$schema"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class Schema:
    """One schema, compiled."""

    def __init__(self, text: str, *, new: bool = False) -> None:
        """Compile; what that costs is bounded if it is `new`.

        Raises:
            DocumentError: it is no schema, or one that is not supported, or too costly.
        """
        document = parse(text, most_bytes=MAX_SCHEMA_BYTES)
        if new and _objects(document) > _MOST_OBJECTS:
            raise DocumentError(f"has more than {_MOST_OBJECTS} objects; describe what is alike once, by `$ref`")
        self._patterns: dict[str, Any] = {}
        self._instructions_left = _MOST_INSTRUCTIONS if new else None
        self._steps_left = 0
        _check_metaschema(document)
        if document.pop(_DIALECT, _DRAFT).rstrip("#") != _DRAFT:
            raise DocumentError("is of another draft than 2020-12")
        self._check(document)
        keywords = {**Draft202012Validator.VALIDATORS, "pattern": self._pattern, "uniqueItems": self._unique}
        counted = {name: self._counted(keyword) for name, keyword in keywords.items()}
        kind = extend(Draft202012Validator, counted)  # type: ignore[no-untyped-call]
        # The default registry of the library would fetch what is referred to.
        self._validator = kind(document, registry=Registry())
        resolver = Registry().with_resource("", DRAFT202012.create_resource(document)).resolver()
        for reference in _references(document):
            _check_reference(reference, resolver)

    def violations(self, document: Any) -> list[FieldViolation]:
        """Return what is wrong with a document, by JSON path; the first twenty."""
        self._steps_left = _MOST_STEPS
        try:
            found = list(islice(self._validator.iter_errors(document), _MOST_VIOLATIONS))
        except (_TooCostlyError, RecursionError):
            return [FieldViolation("$", "the schema takes too many steps to check it; make either of them simpler")]
        except Exception as error:
            # What only a reference reaches is not checked beforehand, and some numbers are too large to divide.
            why = f"{type(error).__name__}: {error}"[:_MOST_CHARACTERS]
            return [FieldViolation("$", f"the schema cannot be applied to it: {why}")]
        return [FieldViolation(error.json_path[:_MOST_CHARACTERS], error.message[:_MOST_CHARACTERS]) for error in found]

    def _counted(self, keyword: Any) -> Keyword:
        def run(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            # Lists of alternatives and of names are gone through one by one.
            self._spend(1 + (len(value) if isinstance(value, list | dict) else 0))
            self._spend(len(instance) // _SIZE_PER_STEP if isinstance(instance, list | dict | str) else 0)
            for error in keyword(validator, value, instance, schema) or ():
                self._spend(len(error.message) // _MESSAGE_PER_STEP)
                yield error

        return run

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise _TooCostlyError

    def _pattern(self, _validator: Any, value: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        if isinstance(instance, str) and not self._patterns[value].search(instance):
            yield ValidationError(f"{instance[:_MOST_CHARACTERS]!r} does not match {value!r}")

    def _unique(self, _validator: Any, wanted: bool, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        """Check in linear time what the library checks in quadratic."""
        if not wanted or not isinstance(instance, list):
            return
        texts = [canonical(each) for each in instance]
        self._spend(sum(map(len, texts)) // _SIZE_PER_STEP)
        if len(set(texts)) != len(texts):
            yield ValidationError("has elements that are equal")

    def _check(self, value: Any) -> None:
        """Compile patterns and refuse what is not supported, wherever it stands."""
        if isinstance(value, list):
            for each in value:
                self._check(each)
        if not isinstance(value, dict):
            return
        if isinstance(value.get(_DIALECT), str):
            # The library would go on with its own keywords, which count nothing.
            raise DocumentError(f"names {_DIALECT} below its top, which is not supported")
        if _ANY in value:
            raise DocumentError(f"{_ANY} is not supported; describe names by `propertyNames`")
        if isinstance(pattern := value.get("pattern"), str):
            self._compile(pattern)
        for each in value.values():
            self._check(each)

    def _compile(self, pattern: str) -> None:
        if pattern in self._patterns:
            return
        compiled = self._patterns[pattern] = _compiled(pattern)
        if self._instructions_left is not None:
            self._instructions_left -= compiled.programsize
            if self._instructions_left < 0:
                raise DocumentError("has patterns that are too costly together; repeat less in them")


class _TooCostlyError(Exception):
    """The budget of steps is spent."""


def _check_metaschema(document: Any) -> None:
    try:
        # Without formats: the library would compile each pattern with `re`, which takes milliseconds for a wide class.
        Draft202012Validator.check_schema(document, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise DocumentError(f"is not a JSON Schema: {error.json_path}: {error.message[:_MOST_CHARACTERS]}") from None


def _compiled(pattern: str) -> Any:
    if len(pattern) > _MOST_PATTERN:
        raise DocumentError(f"has a pattern of more than {_MOST_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)  # type: ignore[no-untyped-call]
    except re2.error as error:
        raise DocumentError(f"has a pattern that RE2 does not take: {pattern!r}: {error}") from None


def _check_reference(reference: str, resolver: Any) -> None:
    if not reference.startswith("#"):
        raise DocumentError(f"refers to {reference!r}; references stay within the document, and begin with #")
    try:
        resolver.lookup(reference)
    except Unresolvable:
        raise DocumentError(f"refers to {reference!r}, which is not there") from None


def _objects(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_objects, value))
    return 1 + sum(map(_objects, value.values())) if isinstance(value, dict) else 0


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in {"$ref", "$dynamicRef"} and isinstance(each, str):
                yield each
            else:
                yield from _references(each)
