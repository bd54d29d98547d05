"""What is timed: ours, each alternative and the floor, a process each that speaks `protocol`."""
