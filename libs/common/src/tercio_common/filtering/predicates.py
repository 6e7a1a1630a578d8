"""A filter as a predicate over one kind of subject. Types are checked once, when it is compiled."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from tercio_common.filtering.fields import Field, Kind
from tercio_common.filtering.grammar import MAX_COMPARISONS, Comparison, Every, FilterError, Node, Not, Some, parse

Subject = TypeVar("Subject")
Predicate = Callable[[Subject], bool]

_EQUALITY = {"=": operator.eq, "!=": operator.ne}
_ORDER = {**_EQUALITY, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_COMPARATORS: Mapping[Kind, Mapping[str, Callable[[Any, Any], bool]]] = {
    Kind.TEXT: {**_EQUALITY, ":": operator.contains},
    Kind.NUMBER: _ORDER,
    Kind.BOOL: _EQUALITY,
    Kind.NAME: _EQUALITY,
    Kind.TIME: _ORDER,
}


@dataclass(frozen=True, slots=True)
class Filter(Generic[Subject]):
    """A compiled filter.

    Attributes:
        text: as it was written.
        matches: tells whether a subject is selected.
        fields: names of the fields that it compares.
        comparisons: how many; what a subject costs grows with them.
    """

    text: str
    matches: Predicate[Subject]
    fields: frozenset[str] = frozenset()
    comparisons: int = 0


EVERYTHING: Filter[Any] = Filter("", lambda _subject: True)
"""What an empty text selects."""


def compile_filter(text: str, fields: Mapping[str, Field[Subject]]) -> Filter[Subject]:
    """Compile a filter over these fields; a blank one selects everything.

    Raises:
        FilterError: the text is malformed or too long, or compares what the fields do not allow.
    """
    if not text.strip():
        return EVERYTHING
    tree = parse(text)
    comparisons = list(_comparisons(tree))
    if len(comparisons) > MAX_COMPARISONS:
        raise FilterError(f"has {len(comparisons)} comparisons, at most {MAX_COMPARISONS} are allowed")
    named = frozenset(comparison.path[0] for comparison in comparisons)
    return Filter(text, _predicate(tree, fields), named, len(comparisons))


def _comparisons(node: Node) -> Iterator[Comparison]:
    match node:
        case Comparison():
            yield node
        case Not(part=part):
            yield from _comparisons(part)
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from _comparisons(part)


def _predicate(node: Node, fields: Mapping[str, Field[Subject]]) -> Predicate[Subject]:
    match node:
        case Comparison():
            return _compared(node, fields)
        case Not(part=part):
            inner = _predicate(part, fields)
            return lambda subject: not inner(subject)
        case Every(parts=parts):
            every = [_predicate(part, fields) for part in parts]
            return lambda subject: all(holds(subject) for holds in every)
        case Some(parts=parts):
            some = [_predicate(part, fields) for part in parts]
            return lambda subject: any(holds(subject) for holds in some)


def _compared(node: Comparison, fields: Mapping[str, Field[Subject]]) -> Predicate[Subject]:
    name, *keys = node.path
    field = fields.get(name)
    if field is None:
        raise _wrong(node, f"there is no field {name!r}; there are {', '.join(fields)}")
    if len(keys) > 1 or (keys and not field.keyed):
        raise _wrong(node, f"{'.'.join(node.path)!r} is no field; a key with a dot in it is put in quotes")
    if field.keyed and not keys:
        return _has_key(node, field)
    compare = _COMPARATORS[field.kind].get(node.comparator)
    if compare is None:
        allowed = " ".join(_COMPARATORS[field.kind])
        raise _wrong(node, f"{name} is compared with {allowed}, not with {node.comparator}")
    read = _reader(field, keys[0] if keys else None)
    holds = _test(field, compare, node)

    def matches(subject: Subject) -> bool:
        value = read(subject)
        return value is not None and holds(value)

    return matches


def _has_key(node: Comparison, field: Field[Subject]) -> Predicate[Subject]:
    name, key, read = node.path[0], node.value, field.read
    if node.comparator != ":":
        raise _wrong(node, f"{name} has keys: compare {name}.key, or ask for one with {name}:key")
    return lambda subject: key in read(subject)


def _reader(field: Field[Subject], key: str | None) -> Callable[[Subject], Any]:
    read = field.read
    return read if key is None else lambda subject: read(subject).get(key)


def _test(field: Field[Any], compare: Callable[[Any, Any], bool], node: Comparison) -> Callable[[Any], bool]:
    wanted = _value(field, node)
    if field.kind is not Kind.TEXT or node.comparator == ":" or "*" not in (wanted[:1], wanted[-1:]):
        return lambda value: compare(value, wanted)
    body, negated = wanted.strip("*"), node.comparator == "!="
    before, after = wanted.startswith("*"), wanted.endswith("*")

    def found(value: str) -> bool:
        if before and after:
            return body in value
        return value.endswith(body) if before else value.startswith(body)

    return lambda value: found(value) is not negated


def _value(field: Field[Any], node: Comparison) -> Any:
    text = node.value
    match field.kind:
        case Kind.TEXT:
            return text
        case Kind.BOOL if text in ("true", "false"):
            return text == "true"
        case Kind.NAME if field.names and text in field.names:
            return field.names[text]
        case Kind.NUMBER:
            return _parsed(float, node, "a number")
        case Kind.TIME:
            return _parsed(_milliseconds, node, 'a time as "2026-01-31T12:00:00Z"')
    allowed = "true or false" if field.kind is Kind.BOOL else f"one of {', '.join(field.names or ())}"
    raise _wrong(node, f"{node.path[0]} is {allowed}, not {text!r}")


def _parsed(parser: Callable[[str], Any], node: Comparison, what: str) -> Any:
    try:
        return parser(node.value)
    except (ValueError, OverflowError):
        raise _wrong(node, f"{'.'.join(node.path)} is compared with {what}, not with {node.value!r}") from None


def _milliseconds(text: str) -> int:
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("a time without a zone")
    return int(when.timestamp() * 1000)


def _wrong(node: Comparison, why: str) -> FilterError:
    return FilterError(f"at character {node.column}: {why}")
