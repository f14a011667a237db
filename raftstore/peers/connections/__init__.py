"""Connections between nodes: dialled, accepted, framed."""
