"""Runs Tercio beside its peers, in interleaved rounds, each peer as its own documentation recommends."""
