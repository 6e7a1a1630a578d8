"""What every Tercio server shares."""
