"""Made-up networks with known ceilings, and the other ways that people use."""
