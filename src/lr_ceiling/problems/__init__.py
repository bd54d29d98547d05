"""Problems, which define one run, and the judges of runs."""
