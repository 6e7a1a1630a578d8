"""Plays traces of work against policies, on a clock of its own."""
