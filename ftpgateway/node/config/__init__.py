"""A node's configuration: one TOML file, read once, checked whole, frozen.

Every key is declared once, with its kind, description and default, in the settings of the component that uses it:
loading, the file that `pixraft init` writes and docs/configuration.md all come from these declarations. `sections` has
the tuple of them. An environment variable PIXRAFT_<SECTION>_<KEY> overrides the file. Relative paths are relative to
the file.
"""
