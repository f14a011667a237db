"""The logs that front-ends share, and how much they say."""
