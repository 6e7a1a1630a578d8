"""Strategies that end conflicts: one a file, each pure."""
