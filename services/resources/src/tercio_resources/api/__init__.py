"""The edge of the resources service: validates, translates, and lets nothing out before it is durable."""
