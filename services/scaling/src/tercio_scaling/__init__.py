"""The scaling service: the right number of agents, and never the wrong one removed."""
