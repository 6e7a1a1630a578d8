"""Development tools: each is one command that a make target calls, and each is tested."""
