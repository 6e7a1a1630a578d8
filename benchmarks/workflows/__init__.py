"""Plays recorded and generated workflows on a fleet and compares the makespan with what is possible."""
