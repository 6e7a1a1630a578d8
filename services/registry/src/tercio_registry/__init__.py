"""The registry: who is in the fleet, what they can do, and whether they are well."""
