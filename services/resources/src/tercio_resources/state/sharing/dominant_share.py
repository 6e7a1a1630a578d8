"""Dominant resource fairness (Ghodsi and others, 2011): a tenant's share is its largest one over all dimensions."""

from __future__ import annotations

from collections.abc import Mapping


def dominant_shares(by_tenant: Mapping[tuple[str, str], int], capacities: Mapping[str, int]) -> dict[str, float]:
    """Return each tenant's dominant share, from 0; over 1 while pools are over-committed."""
    shares: dict[str, float] = {}
    for (tenant, dimension), amount in by_tenant.items():
        share = amount / max(1, capacities.get(dimension, 0))
        shares[tenant] = max(share, shares.get(tenant, 0.0))
    return shares
