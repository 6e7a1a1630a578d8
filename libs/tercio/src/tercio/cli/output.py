"""Renders what the commands found: as a table for people, as JSON, YAML or names for programs.

JSON and YAML have the fields of the contracts, by their names there; bytes are base64. A list is an array, a watch is
one document after the other (JSON: one a line), so that `jq` and `while read` work on both.
"""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import typer
import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

MessageT = TypeVar("MessageT", bound=Message)

_UNLIMITED = 10_000
"""Columns: output into a pipe or a file is never cut."""


class Format(enum.StrEnum):
    """What `-o` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Column(Generic[MessageT]):
    """One column of a table.

    Attributes:
        title: upper case.
        text: what stands in it; may have rich's markup.
        wide: shown with `-o wide` only.
    """

    title: str
    text: Callable[[MessageT], str]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class View(Generic[MessageT]):
    """How one kind of thing is shown.

    Attributes:
        name: what identifies one.
        columns: of the table.
        nothing: said instead of an empty table.
    """

    name: Callable[[MessageT], str]
    columns: Sequence[Column[MessageT]]
    nothing: str


def console(*, stderr: bool = False) -> Console:
    """Return where to print; colours only on a terminal and never with NO_COLOR."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else _UNLIMITED, highlight=False, soft_wrap=True)


def document(message: Message) -> dict[str, Any]:
    """Return a message as plain data, with the contracts' field names."""
    return MessageToDict(message, preserving_proto_field_name=True)


def show_list(messages: Sequence[MessageT], view: View[MessageT], form: Format) -> None:
    """Print many."""
    if form in {Format.JSON, Format.YAML}:
        print_data([document(message) for message in messages], form)
    elif form is Format.NAME:
        typer.echo("".join(f"{view.name(message)}\n" for message in messages), nl=False)
    elif messages:
        print_table(messages, view, wide=form is Format.WIDE)
    else:
        typer.echo(view.nothing, err=True)


def show_one(message: MessageT, view: View[MessageT], form: Format) -> None:
    """Print one."""
    if form in {Format.JSON, Format.YAML}:
        print_data(document(message), form)
    else:
        show_list([message], view, form)


def show_change(message: MessageT, view: View[MessageT], form: Format) -> None:
    """Print one of a watch, at once."""
    if form is Format.JSON:
        line = json.dumps(document(message))
    elif form is Format.YAML:
        line = f"---\n{yaml.safe_dump(document(message), sort_keys=False)}".rstrip()
    elif form is Format.NAME:
        line = view.name(message)
    else:
        columns = [column for column in view.columns if form is Format.WIDE or not column.wide]
        console().print("  ".join(column.text(message) for column in columns))
        sys.stdout.flush()
        return
    typer.echo(line)
    sys.stdout.flush()


def print_data(data: Any, form: Format) -> None:
    """Print plain data as JSON or YAML."""
    text = yaml.safe_dump(data, sort_keys=False) if form is Format.YAML else json.dumps(data, indent=2) + "\n"
    typer.echo(text, nl=False)


def table_of(messages: Iterable[MessageT], view: View[MessageT], *, wide: bool = False) -> Table:
    """Return a table without lines, so that `awk` can read it too."""
    columns = [column for column in view.columns if wide or not column.wide]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.title, no_wrap=True)
    for message in messages:
        table.add_row(*(column.text(message) for column in columns))
    return table


def print_table(messages: Iterable[MessageT], view: View[MessageT], *, wide: bool) -> None:
    """Print a table."""
    console().print(table_of(messages, view, wide=wide))


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values, one a line; empty values are left out."""
    width = max(map(len, facts), default=0) + 1
    for name, value in facts.items():
        if value:
            console().print(f"[bold]{name + ':':<{width}}[/bold] {value}")
