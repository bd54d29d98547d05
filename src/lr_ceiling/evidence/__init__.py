"""What holds a result: comparison, claims, theory, audit, verification, range tests."""
