"""The scheduler's pure state: what is decided, what follows from it, and nothing else."""
