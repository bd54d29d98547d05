"""Execution of runs, and results that survive a kill: executors, journals, files."""
