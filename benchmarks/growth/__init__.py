"""What a task, an agent and a heartbeat cost while the fleet grows."""
