"""The tagger: a tag for each word."""
