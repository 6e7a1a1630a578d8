"""The pure state of the conflicts service."""
