"""Retrieval jobs: describe pictures, keep galleries of vectors, search them, compare descriptors."""
