"""Strategies that choose the agent for a task."""
