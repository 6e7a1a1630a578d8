"""Quotas: contract to domain and back."""

from __future__ import annotations

from tercio.api.resources.v1 import quota_pb2
from tercio.api.resources.v1 import resource_service_pb2 as pb
from tercio_common.rpc.fields import page_size_of
from tercio_common.rpc.violations import Violations
from tercio_resources.state.commands import DeleteQuota, SetQuota
from tercio_resources.state.rows import QuotaRow
from tercio_resources.state.tables import ResourceTables
from tercio_resources.translate.fields import amount_messages, amounts_of, tenant_of


def set_command(request: pb.SetQuotaRequest) -> SetQuota:
    """Translate a quota. Raises INVALID_ARGUMENT, as all below do."""
    found, quota = Violations(), request.quota
    tenant_of("quota.tenant", quota.tenant, found, optional=False)
    limits = amounts_of("quota.limits", quota.limits, found, least=0)
    found.raise_if_any()
    row = QuotaRow(quota.tenant, tuple((each.dimension, each.amount) for each in limits), quota.borrowing)
    return SetQuota(row, tuple((each.dimension, each.unit) for each in limits))


def delete_command(request: pb.DeleteQuotaRequest) -> DeleteQuota:
    """Translate a removal."""
    return DeleteQuota(tenant_asked(request))


def tenant_asked(request: pb.DeleteQuotaRequest | pb.GetQuotaRequest) -> str:
    """Return whose quota is meant."""
    found = Violations()
    tenant_of("tenant", request.tenant, found, optional=False)
    found.raise_if_any()
    return request.tenant


def page_size(request: pb.ListQuotasRequest) -> int:
    """Return the page size of a list."""
    found = Violations()
    size = page_size_of(request.page_size, found)
    found.raise_if_any()
    return size


def quota_message(row: QuotaRow, tables: ResourceTables) -> quota_pb2.Quota:
    """Return a quota as the contract has it."""
    units = tables.by_dimension
    held = sorted(
        (name, amount) for (tenant, name), amount in tables.holdings.by_tenant.items() if tenant == row.tenant
    )
    return quota_pb2.Quota(
        tenant=row.tenant,
        limits=amount_messages([(name, amount, units.unit(name)) for name, amount in row.limits]),
        borrowing=row.borrowing,
        granted=amount_messages([(name, amount, units.unit(name)) for name, amount in held]),
    )
