"""Backups of a whole cluster at a target: made, listed, verified, pruned, restored (docs/backup.md).

`target` is where bytes go, `repository` what a target holds for one key, `manifest` what one backup is. Nothing here
imports the command line; the cluster is reached through `source`.
"""
