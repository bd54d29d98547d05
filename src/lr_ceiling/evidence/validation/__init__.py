"""Checks MNIST against its specification: published facts, features, expectations, findings."""
