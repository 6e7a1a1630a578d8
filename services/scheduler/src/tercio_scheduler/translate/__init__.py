"""Between the contract's messages and the domain: every bound is checked here, and nothing else happens here."""
