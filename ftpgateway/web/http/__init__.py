"""Requests and replies, before anybody asks what they mean: bounds, who may ask what, forms, parts of files."""
