"""How what is free is shared: from which pool, to whom first."""
