"""pysyncobj made durable and safe: journal, transport, driver, proposer, read index, snapshots."""
