"""The registry's edge: validates, translates, and lets nothing out before it is durable."""
