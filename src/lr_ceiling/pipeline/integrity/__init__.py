"""Integrity checks of results, models, journals, locks and the store."""
