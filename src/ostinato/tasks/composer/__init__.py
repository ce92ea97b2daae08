"""The composer: the next set of notes."""
