"""Channels to Tercio's services: addresses, deadlines, retries, leader following, errors."""
