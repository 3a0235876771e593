"""Retrieval jobs: describe images, keep galleries of vectors, search them, compare descriptors."""
