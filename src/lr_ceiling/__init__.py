"""How high the learning rate can go, how sure that is, and what batch norm changes."""
