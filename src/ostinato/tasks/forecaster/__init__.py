"""The forecaster: the values to come of a series."""
