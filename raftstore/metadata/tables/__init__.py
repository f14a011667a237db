"""The tables of the catalog, a module each: schema, queries, and what commands do to them."""
