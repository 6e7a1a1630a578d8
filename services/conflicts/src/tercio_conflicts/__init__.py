"""The conflicts service: who may edit what, and how disagreements end."""
