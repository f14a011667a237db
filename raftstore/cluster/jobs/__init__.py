"""Work in the background: the leader hands it out, workers do it."""
