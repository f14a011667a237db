"""Commands that make, configure and run the node of this machine."""
