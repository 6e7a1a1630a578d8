"""The fenced journal: one port, its implementations, group commit, replay, snapshots and the feed."""
