"""Where to try next, and what the trials say: posterior, schedule, sampler."""
