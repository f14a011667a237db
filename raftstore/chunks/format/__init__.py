"""How chunks, indexes and checkpoints lie in files. No decisions."""
