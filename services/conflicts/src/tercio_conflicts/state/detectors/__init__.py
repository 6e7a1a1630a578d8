"""Detectors of conflicts: one a file, each a pure function of the situation."""
