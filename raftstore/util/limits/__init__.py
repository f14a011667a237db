"""Bounds on rates, on admission, and on turns of the loop."""
