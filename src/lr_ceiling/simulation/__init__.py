"""Simulated networks with known ceilings, and other search methods for comparison."""
