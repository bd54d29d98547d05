"""The benchmarks: ours, the alternatives and the floor, side by side in one run of `make bench`."""
