"""Drivers: what adds and removes agents, each behind one protocol and found by name."""
