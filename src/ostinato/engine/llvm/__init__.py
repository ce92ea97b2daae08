"""The CPU engine: a recurrence becomes one piece of machine code that walks all steps."""
