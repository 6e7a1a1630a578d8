"""The verbs that this service brings to the command line."""
