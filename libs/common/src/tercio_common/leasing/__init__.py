"""What services that lease things to owners have in common. Pure, and nothing here knows what is leased."""
