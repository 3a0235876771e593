"""Automatic checkout: compose images of products with boxes, learn to count them, count."""

from jaxloc.run.checkout.compose import ComposedSet, compose

__all__ = ["ComposedSet", "compose"]
