"""The classifier: labels for a row: a text or a sequence of numbers."""
