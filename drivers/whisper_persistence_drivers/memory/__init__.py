"""The in-memory driver's data, and what its hooks do with them, one module a subject."""
