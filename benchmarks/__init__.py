"""The benchmarks of `make bench`: this project, its alternatives, and the floor, side by side."""
