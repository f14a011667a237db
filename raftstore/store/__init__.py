"""The store as front-ends use it, and the runtime that opens and closes the packages beneath."""
