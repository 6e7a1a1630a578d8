"""Why there should be more agents or fewer, one reason a file."""
