"""The services that grant what attempts need, as the scheduler reaches them."""
