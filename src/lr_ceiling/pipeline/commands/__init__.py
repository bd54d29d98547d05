"""The commands of `lr-ceiling` that are not stages of the pipeline: one module per command."""
