"""The faults: small classes that are put together in `catalogue`."""
