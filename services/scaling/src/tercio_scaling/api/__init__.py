"""The edge of the conflicts service: validates, translates, and lets nothing out before it is durable."""
