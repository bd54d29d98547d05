"""The commands of `lr-ceiling` that are no stage of the pipeline: one module a command."""
