"""What agents and their callers use to take part in a Tercio fleet."""
