"""The rooms of the chroma-recall driver."""
