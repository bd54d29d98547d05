"""Whether what is kept is what was made: results, models, journals, locks and the store."""
