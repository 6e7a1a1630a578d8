"""The verbs that the resources service brings to the command line."""
