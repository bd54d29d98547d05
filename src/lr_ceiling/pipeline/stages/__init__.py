"""One module for each DVC stage: paths and params come in, files go out."""
