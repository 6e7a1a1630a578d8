"""The registry's pure state: who is registered, who is alive, and what follows from the passing of time."""
