"""Who belongs to the cluster: tokens, joining, roster, changes, upgrades."""
