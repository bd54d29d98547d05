"""The evidence for results: comparison, claims, theory, audit, verification, range tests."""
