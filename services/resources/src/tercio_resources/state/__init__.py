"""The pure state of the resources service."""
