"""Text of a filter to its tree: the grammar of AIP-160, without functions and bare words.

Restrictions side by side are a conjunction, and OR binds tighter than AND, as AIP-160 has it. Cost is bounded: a filter
has at most 2,048 characters, 64 comparisons and 16 levels of parentheses, which is checked before anything is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, UnexpectedToken

MAX_CHARACTERS: Final = 2_048
MAX_COMPARISONS: Final = 64
MAX_DEPTH: Final = 16

_GRAMMAR = r"""
    ?start: sequence (_AND sequence)*             -> every
    ?sequence: disjunction+                       -> every
    ?disjunction: term (_OR term)*                -> some
    ?term: simple
         | (_NOT | "-") simple                    -> negation
    ?simple: comparison
           | "(" start ")"
    comparison: _path COMPARATOR (VALUE | STRING)
    _path: NAME ("." (NAME | STRING))*

    _AND.2: /AND(?![A-Za-z0-9_-])/
    _OR.2: /OR(?![A-Za-z0-9_-])/
    _NOT.2: /NOT(?![A-Za-z0-9_-])/
    COMPARATOR: "<=" | ">=" | "!=" | "<" | ">" | "=" | ":"
    NAME: /[A-Za-z0-9_][A-Za-z0-9_-]*/
    VALUE: /-?[A-Za-z0-9_*.][A-Za-z0-9_*.+-]*/
    STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s
    %ignore /[ \t\r\n]+/
"""
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NEXT = {"COMPARATOR": "a comparator", "NAME": "a field", "VALUE": "a value", "STRING": "text in quotes"}


class FilterError(ValueError):
    """The text is no filter of this resource; the message says where and why, for the caller."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`path comparator value`, at a column from 1."""

    path: tuple[str, ...]
    comparator: str
    value: str
    column: int


@dataclass(frozen=True, slots=True)
class Every:
    """Each of the parts holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the parts holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


Node = Comparison | Every | Some | Not


def parse(text: str) -> Node:
    """Return the tree of a filter that is not blank.

    Raises:
        FilterError: also when it is longer, deeper or has more comparisons than may be.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"has {len(text)} characters, at most {MAX_CHARACTERS} are allowed")
    _check_depth(text)
    try:
        tree: Node = _PARSER.parse(text)
    except UnexpectedInput as error:
        raise FilterError(_why(error, text)) from None
    return tree


@v_args(inline=True)
class _Trees(Transformer[Token, Node]):
    """Builds the tree while parsing."""

    def every(self, *parts: Node) -> Node:
        return Every(parts)

    def some(self, *parts: Node) -> Node:
        return Some(parts)

    def negation(self, part: Node) -> Node:
        return Not(part)

    def comparison(self, *tokens: Token) -> Node:
        *path, comparator, value = tokens
        return Comparison(tuple(map(_plain, path)), str(comparator), _plain(value), path[0].column or 1)


_PARSER: Final[Any] = Lark(_GRAMMAR, parser="lalr", lexer="contextual", transformer=_Trees())


def _plain(token: Token) -> str:
    return _ESCAPED.sub(r"\1", token[1:-1]) if token.type == "STRING" else str(token)


def _check_depth(text: str) -> None:
    depth = 0
    for column, character in enumerate(_STRING.sub(lambda found: " " * len(found[0]), text), start=1):
        depth += (character == "(") - (character == ")")
        if depth > MAX_DEPTH:
            raise FilterError(f"at character {column}: more than {MAX_DEPTH} levels of parentheses")


def _is_end(error: UnexpectedInput) -> bool:
    return isinstance(error, UnexpectedToken) and error.token.type == "$END"


def _why(error: UnexpectedInput, text: str) -> str:
    accepts = getattr(error, "accepts", None) or getattr(error, "expected", None) or getattr(error, "allowed", None)
    wanted = sorted({_NEXT[name] for name in accepts or () if name in _NEXT})
    advice = f"; expected {' or '.join(wanted)}" if wanted else ""
    position: int = getattr(error, "pos_in_stream", 0)  # lark types it as None
    if _is_end(error):
        return f"ends too early{advice}"
    return f"at character {position + 1}: {text[position : position + 12]!r} is not expected here{advice}"
