"""Annotated images in the layouts of other tools, one module for each; ``formats`` lists them."""
