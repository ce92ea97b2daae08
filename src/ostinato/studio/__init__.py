"""The live page: how trainings go, and what a model does with the text that is typed."""
