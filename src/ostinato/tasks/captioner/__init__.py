"""The captioner: a text for a vector."""
