"""Holds MNIST against what is known of it: published facts, features, expectations, findings."""
