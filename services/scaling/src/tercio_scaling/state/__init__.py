"""Pure state: what is seen of demand and fleet, and what follows from it."""
