"""The resources service: pools, what is granted of them, and quotas."""
