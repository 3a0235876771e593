"""Checkout images composed of product images: cut products out, paste them onto canvases, light them.

Wei, Cui, Yang, Wang & Liu, "RPC: a large-scale retail product checkout dataset", arXiv 1901.07249, 2019. Deviations:
the paper renders pasted images with a CycleGAN that was trained on real checkout images; ``simulate`` varies light,
focus and noise instead, and needs none. The share of an item that must stay visible, a half, is ours.
"""

from jaxloc.data.checkout.composing import Canvas, Composed, NoRoomError, compose, place
from jaxloc.data.checkout.cutting import cut_out, mask_from_border, read_cut_out, read_product
from jaxloc.data.checkout.levels import LEVELS, Level
from jaxloc.data.checkout.rendering import board, simulate
