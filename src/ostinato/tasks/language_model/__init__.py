"""The language model: text, token by token."""
