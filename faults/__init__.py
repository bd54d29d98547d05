"""Every write that fails, is torn or is the last one: what a small pipeline makes of it."""
