"""What only a leader does beside answering."""
