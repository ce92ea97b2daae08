"""The translator: lines in, lines out."""
