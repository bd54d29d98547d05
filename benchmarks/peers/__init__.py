"""The timed ways of training: ours, each alternative, and the floor; one process each."""
