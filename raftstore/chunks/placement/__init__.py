"""Which stores get a chunk, and what is known of the stores."""
