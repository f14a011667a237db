"""Copies of chunks: recorded, counted, repaired, balanced."""
