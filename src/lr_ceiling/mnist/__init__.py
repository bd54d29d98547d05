"""Trainings of the post's network: data, specification, network, engine."""
