"""Contract to domain and back. Every violation of a request is reported at once; the contract states the bounds."""
