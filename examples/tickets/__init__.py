"""A fleet solves 42 tickets about this repository. `make demo` runs it; `README.md` tells what it shows."""
