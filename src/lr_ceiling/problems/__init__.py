"""What one run is, and how it is judged."""
