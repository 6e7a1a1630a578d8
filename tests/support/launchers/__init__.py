"""A service's process with one part replaced, each a module to be started with `python -m`.

They take the place of switches in the product: a launcher composes the shipped application over ports of its own, or
replaces one function in its own process. Half of them are faults that a promise must survive, the other half are
mutations that a promise must not survive: a check that passes on them proves nothing.
"""
