"""The live model: registry, gate, predictor, serving, retraining."""
