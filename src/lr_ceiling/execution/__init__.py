"""Where runs execute, and what survives a kill: executors, the journal, files."""
