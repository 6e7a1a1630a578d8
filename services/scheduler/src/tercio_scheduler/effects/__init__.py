"""What only a leader does outside its state."""
