"""One module per DVC stage: each takes paths and params, and writes files."""
