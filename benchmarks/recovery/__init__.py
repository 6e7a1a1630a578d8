"""What a crash, a snapshot, an hour of work and a full store cost."""
