"""What a model did, for people who would rather look than read."""
