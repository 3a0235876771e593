# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Find what a set of photographs shares
#
# You have forty photographs of the same kind of thing, and no labels. This notebook puts a box around that thing in
# each of them, and names the photographs that lack it. Nothing is trained: a network pre-trained on ImageNet turns
# each image into descriptors, and two short methods do the rest.
#
# - **SCDA** (Wei, Luo, Wu & Zhou, 2017) looks at one image: the object is where the network fires.
# - **DDT** (Wei, Zhang, Li, Xie, Wu, Shen & Zhou, 2017, 2019) looks at the whole set: the object is what varies
#   *together* across the images, the first principal component of all their descriptors.
#
# If you write JAX, read the code cells: each method is a pure function of one image's features, which you `jit`,
# `vmap` and differentiate as you please. If you only want boxes, section 8 ends with the command that does all this.
# The notebook needs no connection and no files, and takes about a minute on two CPU cores.

# %%
import collections
import functools
import io

import jax
import jax.numpy as jnp
import matplotlib.patheffects
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from IPython.display import Image, Markdown

import jaxloc
from jaxloc import ddt, grids, metrics, models, moments, scda
from jaxloc.data import Item, choose_buckets, demo, find_sets, make_batches, read_image

# %% [markdown]
# The next cell only draws; skip it.

# %%
CYAN, YELLOW, RED, GREY, TEAL = "#00e5ff", "#ffe600", "#d7191c", "#9aa4ad", "#00838f"
VEIL = matplotlib.colors.ListedColormap(["white"])
plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False})


def grid(rows, columns, height):
    figure, axes = plt.subplots(rows, columns, figsize=(11, height), dpi=100, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure, axes


def show(figure):
    """The figure as a PNG of 255 colours and white, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    colours = PIL.Image.open(full).convert("RGB")
    few = colours.quantize(palette=colours.quantize(255, PIL.Image.Quantize.FASTOCTREE))
    few.putpalette([*few.getpalette()[: 3 * 255], 255, 255, 255])
    few.paste(255, mask=PIL.Image.fromarray((np.asarray(colours) == 255).all(-1)))
    few.save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def draw(axis, item, values, title="", **style):
    rows, columns = item.original_size
    axis.imshow(values, extent=(0, columns, rows, 0), interpolation="nearest", **style)
    axis.set_title(title)


def draw_signed(axis, item, values, limit, title=""):
    draw(axis, item, values, title, cmap="RdBu_r", vmin=-limit, vmax=limit)


def draw_mask(axis, item, mask, title=""):
    """The selected cells in full colour, the others under a veil."""
    draw(axis, item, item.pixels)
    draw(axis, item, np.ma.masked_where(mask, mask), title, cmap=VEIL, alpha=0.75)


def draw_box(axis, box, colour=CYAN, line="-", width=2.0):
    if box is not None and not np.isnan(box).any():
        x0, y0, x1, y1 = np.asarray(box)
        outline = [matplotlib.patheffects.withStroke(linewidth=2.2 * width, foreground="#10141a")]
        style = {"fill": False, "edgecolor": colour, "linestyle": line, "linewidth": width, "path_effects": outline}
        axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, **style))


def draw_histogram(axis, item, values, threshold, limits, title=""):
    axis.hist(values.ravel(), bins=np.linspace(*limits, 41), color=GREY)
    axis.axvline(threshold, color=RED, linewidth=2)
    axis.set(xlim=limits, xticks=np.linspace(*limits, 3), title=title)
    axis.spines["bottom"].set_visible(True)
    axis.set_box_aspect(item.original_size[0] / item.original_size[1])


def draw_sheet(items, boxes=None):
    """Images side by side, with the boxes found and (dashed) the boxes known."""
    figure, axes = grid(-(-len(items) // 8), 8, 1.6 * -(-len(items) // 8))
    for axis, item in zip(axes.flat, items, strict=False):
        draw(axis, item, item.pixels)
        axis.set_title(item.number + 1, fontsize=9, loc="left", pad=2)
        if boxes is not None:
            draw_box(axis, truths[item.number], YELLOW, "--", 1.2)
            draw_box(axis, boxes[item.number], width=1.6)
    return show(figure)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


# %% [markdown]
# And one cuts a padded map down to its valid cells.


# %%
def crop(values, size):
    rows, columns = np.asarray(size)
    return np.asarray(values)[:rows, :columns]


# %% [markdown]
# ## 1. Images
#
# `demo.compose()` makes a set from photographs that ship inside scikit-image: the motorcycle of the Middlebury stereo
# pair, cut out along its disparity, is pasted at random place, scale and flip onto sixteen crops of other images;
# six more go without it. So every box is known. It is an easy set: the object is always the same motorcycle from the
# same side, nothing hides it, and the backgrounds repeat. The numbers below show that the code works,
# **not how accurate the methods are**; for that see the papers.

# %%
images = demo.compose()
photos = [np.asarray(image.image) for image in images]  # uint8 [h, w, 3], RGB
items = [Item(number, photo, photo.shape[:2]) for number, photo in enumerate(photos)]
truths = [image.box for image in images]  # x0, y0, x1, y1 in pixels, or None

# %% [markdown]
# **Your own photographs.** Put a folder's name here and run all cells. Nothing below knows the difference, except that
# without known boxes there is no AUC (section 5) and no CorLoc (section 7). The remarks on single images are about
# the set composed above.

# %%
FOLDER = None  # for example "photos"
EXAMPLE = 3  # the image that is shown step by step, one of the first four

if FOLDER:
    [images] = find_sets([FOLDER])
    decoded = [read_image(source.path, shorter_side=400) for source in images.sources]
    items = [Item(number, *image) for number, image in enumerate(decoded)]
    truths = [None] * len(items)

# %%
draw_sheet(items[:24])

# %% [markdown]
# ## The short way
#
# Three lines find what images of any sizes share: paths, arrays or PIL images. Each result holds a box in pixels, a
# score, a mask and the map behind it; `found.model` is what was fitted.

# %%
net = jaxloc.load("vgg16")
some = [item.pixels for item in items[:8]]
found = jaxloc.colocalize(some, net)
found, found[0].box, found[0].score

# %%
show(jaxloc.plot(some, found))

# %% [markdown]
# The rest of this notebook shows what happens inside, with pure functions that you may call from your own JAX code.
#
# ## 2. Features
#
# `models.load` finds weights by name (VGG-16's convolutions come with the installation) and `models.extract_features`
# is a pure function of parameters and images. Bind what is static, the network and the layers, and jit the rest.
# The parameters stay an **argument**: closed over, they would be baked into every compiled shape as constants, 59 MB
# each time, and could be neither exchanged, sharded nor differentiated. `compiler_options` makes it faster on a CPU.

# %%
weights = models.load("vgg16")
LAYERS = ("relu5_3", "relu5_2")
extract = jax.jit(
    functools.partial(models.extract_features, backbone=weights.backbone, layers=LAYERS),
    compiler_options=models.compiler_options(weights.backbone),
)

example = items[EXAMPLE]
alone = extract(weights.params, example.pixels)  # uint8 in; scaling and normalisation happen inside
example.pixels.shape, {layer: (features.shape, size.tolist()) for layer, (features, size) in alone.items()}

# %% [markdown]
# One cell per 16 pixels, 512 numbers a cell: its *descriptor* $x_{(i,j)}$. Each layer gives a pair, `features` and
# `size`, the valid rows and columns.
#
# Photographs come in many shapes, and XLA compiles one program per shape. `choose_buckets` finds few shapes that waste
# little, here a single one, and `make_batches` pads images to them. The network sets every activation outside a
# image back to zero, which is the padding the image alone would have had. So **an image's features do not depend
# on its neighbours in the batch**, up to rounding:

# %%
counts = collections.Counter(item.pixels.shape[:2] for item in items)
bucket = choose_buckets(counts, limit=1, step=16)
batches = functools.partial(make_batches, items, bucket=bucket, capacity=lambda shape: 4)

batch = next(batches())
padded = extract(weights.params, batch.images, batch.sizes)
rows = []
for position, number in enumerate(batch.indices[batch.indices >= 0]):
    alone = extract(weights.params, items[number].pixels)["relu5_3"]
    inside = crop(padded["relu5_3"].features[position], alone.size)
    difference = np.abs(inside - alone.features).max() / alone.features.max()
    rows.append([items[number].pixels.shape[:2], alone.features.shape[:2], f"{difference:.1e}"])
table(["pixels", "cells", f"largest relative difference, alone or padded to {batch.images.shape[1:3]}"], rows)

# %% [markdown]
# ## 3. SCDA: one image
#
# The *aggregation map* adds up the channels, $A = \sum_c x_c$. Cells above its mean $\bar a$ are candidates,
# $M = A > \bar a$; the largest connected component $\widetilde M$ is the object, and its tight box the answer.
# Four functions, each on one image:

# %%
features, size = extract(weights.params, example.pixels)["relu5_3"]
aggregation = scda.aggregation_map(features)
above_mean = scda.mean_mask(aggregation)
largest = scda.object_mask(aggregation)
found = scda.localize(features, example.original_size)  # all of the above, and the box

# %%
figure, [axes] = grid(1, 5, 2.7)
peak = aggregation.max()
draw(axes[0], example, example.pixels, "image")
draw(axes[1], example, aggregation, r"$A=\Sigma_c\,x_c$", cmap="magma", vmin=0)
draw_histogram(axes[2], example, aggregation / peak, aggregation.mean() / peak, (0, 1), r"$A\,/\,\max A$ and its mean")
draw_mask(axes[3], example, above_mean, r"$M = A > \bar a$")
draw_mask(axes[4], example, largest, r"$\widetilde M$ and its box")
draw_box(axes[4], found.box)
show(figure)

# %% [markdown]
# The histogram is the one in the DDT paper's figure 2. The mean cuts through a broad hump, so many cells pass: a
# single image cannot say that the cat is not what we look for.
#
# A batch is `jax.vmap`, which maps keyword arguments over their first axis too. Two sizes travel with each image:
# `image_size`, in whose pixels the box is given, and `size`, the valid cells of a padded map.

# %%
top = padded["relu5_3"]
several = jax.vmap(scda.localize)(top.features, batch.original_sizes, size=top.size)
jax.tree.map(jnp.shape, several)._asdict()

# %% [markdown]
# The box found alone, and in the batch:

# %%
position = batch.indices.tolist().index(EXAMPLE)
found.box.tolist(), several.box[position].tolist()

# %% [markdown]
# ## 4. DDT: the whole set
#
# DDT needs the mean $\bar x$ and the covariance of all descriptors of all images, and nothing else. Both are running
# sums: `moments.of` a batch, `moments.merge` with what came before. Batches stream through, and what is kept is
# $512^2 + 512$ numbers a layer, **however many images there are**. Merging is associative, so devices and hosts can
# each take a share (`moments.psum`).


# %%
@jax.jit
def add(sums, maps):
    def one(sums, features, size):
        valid = grids.valid_cells(size, features.shape[1:3])  # padding is not data
        return moments.merge(sums, moments.of(features, valid))

    return {layer: one(sums[layer], *maps[layer]) for layer in maps}


sums = {layer: moments.empty(512) for layer in LAYERS}
kept = []  # of this small set we keep the features, to look at them; a large set goes through the network twice
for batch in batches():
    maps = extract(weights.params, batch.images, batch.sizes)
    sums = add(sums, maps)
    kept.append(maps)

maps = jax.tree.map(lambda *parts: jnp.concatenate(parts)[: len(items)], *kept)
image_sizes = jnp.array([item.original_size for item in items])
megabytes = {"moments": sums["relu5_3"], "features": maps["relu5_3"].features}
megabytes = {name: round(sum(x.nbytes for x in jax.tree.leaves(tree)) / 1e6, 1) for name, tree in megabytes.items()}
f"{moments.count(sums['relu5_3']):,} descriptors of {len(items)} images", megabytes

# %% [markdown]
# `ddt.fit` takes the eigenvectors $\xi_1, \xi_2, \ldots$ of the covariance by falling eigenvalue. The *indicator map*
# of an image is $P^j = \xi_j^\top (x - \bar x)$: how far each cell goes along the $j$-th direction.

# %%
model = ddt.fit(sums["relu5_3"], components=4)
rows = zip(model.eigenvalues, model.explained, model.correlation, strict=True)
table(
    ["component", "eigenvalue λ", "share of variance", "correlation with A"],
    [[j, f"{value:.1f}", f"{share:.1%}", f"{r:+.2f}"] for j, (value, share, r) in enumerate(rows, 1)],
)

# %% [markdown]
# **The sign rule.** If $\xi_1$ is an eigenvector, so is $-\xi_1$, and the sign decides which side is object. jaxloc
# takes the sign for which $P^1$ correlates positively with the aggregation map $A$ over the set: the object should make
# the network fire, not fall silent. The last column is that correlation. Near 1, the rule is sure; below 0.3 or so it
# is a guess, so look at the maps (the command warns). Only the first row matters for the box.

# %%
indicators = jax.vmap(ddt.indicator_maps, in_axes=(None, 0))(model, maps["relu5_3"].features)  # [n, 4, h, w]
SHOWN = [number for number in (EXAMPLE, 2, 9, 12, 14, 16) if number < len(items)]

figure, axes = grid(3, len(SHOWN), 5.2)
for column, number in zip(axes.T, SHOWN, strict=True):
    draw(column[0], items[number], items[number].pixels)
    for j in (0, 1):
        shown = crop(indicators[number, j], maps["relu5_3"].size[number])
        draw_signed(column[j + 1], items[number], shown, jnp.abs(indicators[jnp.array(SHOWN), j]).max())
for axis, label in zip(axes[:, 0], ("image", "$P^1$", "$P^2$"), strict=True):
    axis.set_ylabel(label)
show(figure)

# %% [markdown]
# Red is positive, blue negative, white zero, on one scale a row. $P^1$ is the motorcycle, and almost nothing in the
# last image, which has none. $P^2$ splits it in parts, wheels against body, as it splits dogs into head and torso in
# the paper's figure 5.
#
# The rest is SCDA's recipe with a better map: $P^1 > 0$, largest component, tight box. All images at once, in one
# compiled program; the model is a tuple of arrays and goes in as an argument like any other.

# %%
localize_set = jax.jit(jax.vmap(ddt.localize, in_axes=(None, 0, 0)))
features, size = maps["relu5_3"]
found_ddt = localize_set(model, features, image_sizes, size=size)

# %%
figure, [axes] = grid(1, 5, 2.7)
indicator, largest = crop(found_ddt.response[EXAMPLE], size[EXAMPLE]), crop(found_ddt.mask[EXAMPLE], size[EXAMPLE])
peak = np.abs(indicator).max()
draw(axes[0], example, example.pixels, "image")
draw_signed(axes[1], example, indicator, peak, r"$P^1=\xi_1^\top(x-\bar x)$")
draw_histogram(axes[2], example, indicator / peak, 0, (-1, 1), r"$P^1/\,\max|P^1|$ and 0")
draw_mask(axes[3], example, indicator > 0, r"$P^1>0$")
draw_mask(axes[4], example, largest, "largest component, box")
draw_box(axes[4], found_ddt.box[EXAMPLE])
show(figure)

# %% [markdown]
# The same cat as before. Here most cells lie in a narrow heap below zero, and the threshold falls beside the heap,
# not through it: the set has told the object from its surroundings.

# %%
draw_sheet(items[:24], found_ddt.box)

# %% [markdown]
# Cyan is found, dashed yellow is known. Two things to see. In image 13 the box is far too large: parts of the space
# suit are a little positive and touch the motorcycle. And in some images without a motorcycle a small box appears:
# something often looks a little like the object. Hence the next section.
#
# ## 5. Images that lack the object
#
# The share of cells with $P^1 > 0$ is DDT's noise score (`positive_share`): **the smaller, the surer the object is
# absent**, and at zero there is no box at all (`found` is False, the box NaN). The area under the ROC curve is the
# chance that an image with the object has a larger share than one without.

# %%
share = np.asarray(found_ddt.positive_share)
holds = np.array([truth is not None for truth in truths])
order = np.argsort(-share)

figure, axis = plt.subplots(figsize=(11, 2.8), dpi=100, layout="constrained")
axis.bar(range(len(order)), share[order], color=np.where(holds[order], TEAL, GREY))
axis.axhline(0.1, color=RED, linewidth=1.5)
axis.text(len(order) - 0.5, 0.105, "threshold 0.1", color=RED, ha="right")
axis.set(xlabel="image", ylabel="share of cells with $P^1>0$", xlim=(-0.6, len(order) - 0.4))
axis.set_xticks(range(len(order)), order + 1)
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in (TEAL, GREY)]
axis.legend(handles, ["holds the object", "does not, or not known"], frameon=False)
show(figure)

# %%
f"AUC {metrics.roc_auc(share, holds):.3f}"

# %% [markdown]
# Six images, most of them texture, are an easy test; real noise looks more like the object. The paper calls a
# image noisy at 0, or at 0.1 or less. Which suits you depends on how small the object may be, because the share is
# also its size in the image.
#
# ## 6. DDT+: two layers
#
# DDT+ fits `relu5_2` as well, on its own descriptors, and keeps the cells that both layers call positive:
# $\mathrm{LCC}(P^1_{5\_3} > 0) \wedge (P^1_{5\_2} > 0)$. The moments of both layers were summed in the one pass.
# The models are shared by all images and the maps are one for each, so what we `vmap` is a function of the maps.

# %%
fitted = {layer: ddt.fit(sums[layer]) for layer in LAYERS}


@jax.jit
def localize_set_plus(fitted, maps, image_sizes):
    def one(maps, image_size):
        (top, size), (below, _) = maps["relu5_3"], maps["relu5_2"]
        return ddt.localize(
            fitted["relu5_3"], top, image_size, below=fitted["relu5_2"], features_below=below, size=size
        )

    return jax.vmap(one)(maps, image_sizes)


found_plus = localize_set_plus(fitted, maps, image_sizes)

# %%
number = min(6, len(items) - 1)
item, size = items[number], maps["relu5_3"].size[number]
top, below = (crop(ddt.indicator_maps(fitted[layer], maps[layer].features[number])[0], size) for layer in LAYERS)

figure, [axes] = grid(1, 5, 2.35)
draw(axes[0], item, item.pixels, "image")
draw_signed(axes[1], item, top, np.abs(top).max(), "$P^1$ of relu5_3")
draw_signed(axes[2], item, below, np.abs(below).max(), "$P^1$ of relu5_2")
for axis, found, title in ((axes[3], found_ddt, "DDT"), (axes[4], found_plus, "DDT+")):
    draw_mask(axis, item, crop(found.mask[number], size), title)
    draw_box(axis, found.box[number])
show(figure)

# %% [markdown]
# A cell of relu5_2 sees a smaller patch of the image, so its map is tighter, here below the wheels; it is also
# positive in places that the deeper layer ignores. The intersection keeps what both see.
#
# ## 7. How many are right
#
# CorLoc is the share of images with the object whose box has IoU > 0.5 with the known one.

# %%
features, size = maps["relu5_3"]
found_scda = jax.jit(jax.vmap(scda.localize))(features, image_sizes, size=size)


def score(method, boxes):
    known = [(box, truth) for box, truth in zip(np.asarray(boxes), truths, strict=True) if truth is not None]
    if not known:
        return [method, "unknown", "", ""]
    right = [metrics.correct_localization(box, truth) for box, truth in known]
    ious = [metrics.box_iou(box, truth) for box, truth in known]
    return [method, f"{sum(right)} of {len(known)}", f"{np.mean(right):.0%}", f"{np.mean(ious):.2f}"]


SCORES = ["method", "right", "CorLoc", "mean IoU"]
rows = [score("SCDA", found_scda.box), score("DDT", found_ddt.box), score("DDT+", found_plus.box)]
table(SCORES, rows)

# %% [markdown]
# With sixteen images, one more or less is six points: the table ranks nothing. On real sets the papers report, for
# example on PASCAL VOC 2007 with VGG-19, 29.5 % for SCDA and 46.9 % for DDT.
#
# ## 8. Composing
#
# The methods know nothing of VGG. They take any map `[h, w, d]`: another layer, another network's, a transformer's
# patch tokens as a grid, or something of your own. Here the square root of the features, which tames bursts:

# %%
features, size = maps["relu5_3"]
roots = jnp.sqrt(features)
model_roots = ddt.fit(moments.of(roots, grids.valid_cells(size, roots.shape[1:3])))
found_roots = localize_set(model_roots, roots, image_sizes, size=size)
table(SCORES, [*rows, score("DDT of square roots", found_roots.box)])

# %% [markdown]
# Here that does more harm than good; with your features it may not.
#
# And everything up to the mask is differentiable. $P^1$ is linear in the features, and the features are a function of
# the pixels, so `jax.grad` says which pixels make an image positive. Ask it about image 13, whose box was too large:


# %%
@jax.jit
@jax.grad
def pixel_gradient(image, params, model):
    maps = models.extract_features(params, image, backbone=weights.backbone)
    return jnp.maximum(ddt.indicator_maps(model, maps["relu5_3"].features)[0], 0).sum()


number = min(12, len(items) - 1)
item = items[number]
gradient = pixel_gradient(item.pixels / 255, weights.params, model)  # a float image is taken as [0, 1]
strength = np.abs(gradient).sum(-1)

# %%
figure, [axes] = grid(1, 4, 2.15)
size = maps["relu5_3"].size[number]
indicator, mask = crop(found_ddt.response[number], size), crop(found_ddt.mask[number], size)
draw(axes[0], item, item.pixels, "image")
draw_signed(axes[1], item, indicator, np.abs(indicator).max(), "$P^1$")
draw_mask(axes[2], item, mask, "largest component, box")
draw_box(axes[2], truths[number], YELLOW, "--", 1.5)
draw_box(axes[2], found_ddt.box[number])
draw(axes[3], item, strength, "gradient, its magnitude", cmap="magma", vmin=0, vmax=np.quantile(strength, 0.98))
show(figure)

# %% [markdown]
# The cells that stretch the box follow the ring of the suit's collar, round and shiny like much of a motorcycle. The
# gradient is strongest on the motorcycle itself, but does not vanish along the ring.
#
# **The same as a command**, for a folder of any size, with a report to look through, COCO annotations, and the fitted
# model for images to come:
#
# ```sh
# jaxloc colocalize photos --out result                 # DDT; --method ddt+ or scda for the others
# jaxloc apply result/model.safetensors more --out more-result
# jaxloc demo --out demo                                # the images of this notebook
# ```
#
# ## 9. What to read next
#
# - `jaxloc/ddt.py` and `jaxloc/scda.py`: short, with the papers' equation numbers and every choice that the papers
#   leave open. `ddt.fit(sign=...)` has the other sign rules.
# - `jaxloc/moments.py`: `psum` for several devices under `shard_map`.
# - `jaxloc/components.py`: components are labelled on the host; `backend="device"` keeps them in the program, which
#   you need to export it.
# - `jaxloc evaluate --help`: CorLoc against your own annotations. `jaxloc weights --help`: VGG-19, and weights of your
#   own.
# - The papers: SCDA ([arXiv:1604.04994](https://arxiv.org/abs/1604.04994)),
#   DDT ([arXiv:1705.02758](https://arxiv.org/abs/1705.02758)),
#   DDT+ ([arXiv:1707.06397](https://arxiv.org/abs/1707.06397)).
