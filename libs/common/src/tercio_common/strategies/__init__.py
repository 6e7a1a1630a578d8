"""Named strategies, swappable while running and extendable by entry point."""
