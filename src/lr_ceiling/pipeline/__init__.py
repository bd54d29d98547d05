"""The DVC pipeline and the command line: params, stages, commands."""
