"""`tercio budgets`: what may be spent at providers of language models, and what was."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration
from rich.markup import escape

from tercio.api.resources.v1 import budget_pb2
from tercio.api.resources.v1 import budget_service_pb2 as pb
from tercio.api.resources.v1.budget_service_pb2_grpc import BudgetServiceStub
from tercio.cli import texts
from tercio.cli.connect import Address, Limit, Output
from tercio.cli.output import Column, Format, View, show_list, show_one
from tercio.requests import new_request_id
from tercio_resources.cli import connect

app = typer.Typer(help="See and change the budgets of calls to language models.", no_args_is_help=True)

BudgetId = Annotated[str, typer.Argument(metavar="ID", help="the budget")]
Parent = Annotated[str, typer.Option("--parent", help="the budget above; without one it is an account")]
Tokens = Annotated[int, typer.Option("--tokens", min=0, help="tokens a minute; 0 does not bound them")]
Requests = Annotated[int, typer.Option("--requests", min=0, help="requests a minute; 0 does not bound them")]
Burst = Annotated[int, typer.Option("--burst", min=1, max=3600, help="seconds of these rates that may be saved up")]
Price = Annotated[int, typer.Option("--price", min=0, help="of 10^6 tokens, in millionths of the currency")]
CostLimit = Annotated[int, typer.Option("--cost-limit", min=0, help="in millionths of the currency; 0 is no limit")]

VIEW: View[budget_pb2.Budget] = View(
    name=lambda budget: budget.budget_id,
    nothing="there are no budgets; `tercio budgets create --help` shows how to make one",
    columns=(
        Column("BUDGET", lambda budget: escape(budget.budget_id)),
        Column("PARENT", lambda budget: escape(budget.parent_id) or "-"),
        Column("TOKENS/MIN", lambda budget: str(budget.tokens_per_minute or "-")),
        Column("REQUESTS/MIN", lambda budget: str(budget.requests_per_minute or "-")),
        Column("SPENT", lambda budget: str(budget.spent_tokens)),
        Column("LEASED", lambda budget: str(budget.leased_tokens)),
        Column("COST", lambda budget: f"{budget.spent_micros / 10**6:.2f}"),
        Column("COST LIMIT", lambda budget: _limit(budget.cost_limit_micros), wide=True),
        Column("BURST", lambda budget: f"{budget.burst.ToMilliseconds() / 1000:g}s", wide=True),
        Column("FROZEN UNTIL", lambda budget: _frozen(budget), wide=True),
    ),
)


@app.command("list", epilog="Example: tercio budgets list -o wide")
def list_(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List budgets, in the order of their ids."""
    request = pb.ListBudgetsRequest()
    found = connect.listed(address, "ListBudgets", request, "budgets", limit=limit, stub=BudgetServiceStub)
    show_list(found, VIEW, output)


@app.command(epilog="Example: tercio budgets get openai -o yaml")
def get(budget_id: BudgetId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one budget."""
    request = pb.GetBudgetRequest(budget_id=budget_id)
    answer = connect.run(address, lambda service: service.call("GetBudget", request), stub=BudgetServiceStub)
    show_one(answer.budget, VIEW, output)


@app.command(epilog="Example: tercio budgets create openai --tokens 2000000 --requests 5000")
def create(
    budget_id: BudgetId,
    parent: Parent = "",
    tokens: Tokens = 0,
    requests: Requests = 0,
    burst: Burst = 60,
    price: Price = 0,
    cost_limit: CostLimit = 0,
    address: Address = None,
) -> None:
    """Create a budget."""
    budget = budget_pb2.Budget(
        budget_id=budget_id,
        parent_id=parent,
        tokens_per_minute=tokens,
        requests_per_minute=requests,
        burst=Duration(seconds=burst),
        micros_per_million_tokens=price,
        cost_limit_micros=cost_limit,
    )
    request = pb.CreateBudgetRequest(request_id=new_request_id(), budget=budget)
    made = connect.run(address, lambda service: service.call("CreateBudget", request), stub=BudgetServiceStub).budget
    typer.echo(f"{made.budget_id} has {tokens or 'any'} tokens and {requests or 'any'} requests a minute")


def _limit(micros: int) -> str:
    return f"{micros / 10**6:.2f}" if micros else "-"


def _frozen(budget: budget_pb2.Budget) -> str:
    return texts.clock_time(budget.frozen_until) if budget.HasField("frozen_until") else "-"
