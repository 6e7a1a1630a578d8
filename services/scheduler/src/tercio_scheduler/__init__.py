"""The scheduler: which agent runs which task, and what becomes of it."""
