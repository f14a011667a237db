"""Tables of contents: chunks, who refers to them, and which stores have them."""
