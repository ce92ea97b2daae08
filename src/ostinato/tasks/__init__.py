"""One file a task: what a user fits, saves and asks."""
