"""The search: posterior of the trials, choice of the next trial, schedule, sampler."""
