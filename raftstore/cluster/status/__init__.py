"""How the members are, and one word for how the cluster is."""
