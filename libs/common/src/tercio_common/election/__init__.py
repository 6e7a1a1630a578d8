"""Leadership: one port, its implementations, and the lease arithmetic."""
