"""Throughput and latency of a fleet on this machine; see README.md."""
