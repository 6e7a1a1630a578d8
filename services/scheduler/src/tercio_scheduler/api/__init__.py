"""Thin servicers: check, translate, ask the host, reply."""
