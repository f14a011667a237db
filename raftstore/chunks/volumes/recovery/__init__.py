"""Volumes when a node starts: what is read, mended, put aside."""
