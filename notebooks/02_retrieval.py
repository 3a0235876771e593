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
# # Find more images like this one
#
# You have an image, and a collection in which you look for others of the same kind. This notebook turns each image
# into one vector, compares vectors, and shows what comes out. Nothing is trained: the network is pre-trained on
# ImageNet and stays as it is.
#
# The method is **SCDA** (Wei, Luo, Wu & Zhou, 2017): find the object, describe only the object. The first notebook,
# `01_colocalize`, explains how the object is found; here it takes three lines.
#
# After the images come the three lines that do it in memory. Sections 2 to 7 show the pure functions behind them, which
# you can `jit`, `vmap` and combine with your own. Section 8 does the same with the jobs behind the `jaxloc` command,
# for a folder of any size. The notebook needs no connection and no files.

# %%
import collections
import functools
import io
import os
import shutil
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
import PIL.ImageEnhance
import PIL.ImageOps
import skimage.data
from IPython.display import Image, Markdown

import jaxloc
from jaxloc import attributes, grids, metrics, models, pooling, ranking, scda, whitening
from jaxloc.data import Item, choose_buckets, demo, find_sets, make_batches, read_image
from jaxloc.descriptors import DESCRIPTORS
from jaxloc.options import DescribeOptions, IndexOptions, SearchOptions
from jaxloc.run.retrieval.compare import compare
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.search import search
from jaxloc.run.retrieval.summary import search_text

# %% [markdown]
# The next cell only draws; skip it.

# %%
GREEN, RED, GREY, TEAL = "#2a7d2e", "#c62828", "#9aa4ad", "#00838f"
VEIL = plt.matplotlib.colors.ListedColormap(["white"])
plt.rcParams.update({"font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False})


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


def draw(axis, pixels, title="", colour="black", **style):
    axis.imshow(pixels, interpolation="nearest", **style)
    axis.set_title(title, color=colour)


def draw_cells(axis, pixels, values, title="", **style):
    rows, columns = pixels.shape[:2]
    draw(axis, values, title, extent=(0, columns, rows, 0), **style)


def draw_mask(axis, pixels, mask, title=""):
    """The selected cells in full colour, the others under a veil."""
    draw(axis, pixels)
    draw_cells(axis, pixels, np.ma.masked_where(mask, mask), title, cmap=VEIL, alpha=0.75)


def draw_results(axes, query, found, count):
    """Images in order, each with its score, and whether it is of the query's kind."""
    for axis, number, value in zip(
        axes[:count], *(np.asarray(x)[:count] for x in (found.indices, found.scores)), strict=True
    ):
        number = gallery[number]
        right = labels[number] == labels[query]
        draw(axis, items[number].pixels, f"{'✓' if right else '✗'} {value:.2f}", GREEN if right else RED)
        axis.spines[:].set(visible=True, color=GREEN if right else RED, linewidth=1 if right else 4)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


def crop(values, size):
    """Cut a padded map down to its valid cells."""
    rows, columns = np.asarray(size)
    return np.asarray(values)[:rows, :columns]


# %% [markdown]
# ## 1. Images
#
# Retrieval needs kinds: several images of each. Five of the six kinds here are pieces of one photograph each that
# ships inside scikit-image: a random window, sometimes mirrored, turned a little, in other colours. The sixth is the
# motorcycle of the first notebook, pasted onto other images, some of them also kinds. It is an **easy set**: each
# kind comes from a single photograph. The numbers below show that the code works, not how good the method is.


# %%
def vary(photo, shape, rng):
    image = PIL.Image.fromarray(photo).convert("RGB").rotate(rng.uniform(-12, 12), PIL.Image.Resampling.BICUBIC)
    image = PIL.ImageOps.crop(image, round(0.15 * min(image.size)))  # the turned image has black corners
    rows = rng.uniform(0.4, 0.95) * min(image.height, image.width * shape[0] / shape[1])
    columns = rows * shape[1] / shape[0]
    x, y = rng.uniform(0, image.width - columns), rng.uniform(0, image.height - rows)
    image = image.resize(shape[::-1], PIL.Image.Resampling.BICUBIC, (x, y, x + columns, y + rows))
    image = PIL.ImageOps.mirror(image) if rng.random() < 0.5 else image
    image = PIL.ImageEnhance.Color(image).enhance(rng.uniform(0, 1.5))
    return PIL.ImageEnhance.Brightness(image).enhance(rng.uniform(0.6, 1.4))


def compose(folder, each):
    photos = {"astronaut": "astronaut", "cat": "chelsea", "coffee": "coffee", "coins": "coins", "rocket": "rocket"}
    shapes = ((224, 304), (256, 256), (304, 224), (240, 320))
    rng = np.random.default_rng(0)
    made = {"motorcycle": [image.image for image in demo.compose(with_object=each, without=0)]}
    for kind, name in photos.items():
        photo = getattr(skimage.data, name)()
        made[kind] = [vary(photo, shapes[number % len(shapes)], rng) for number in range(each)]
    for kind, images in made.items():
        (folder / kind).mkdir()
        for number, image in enumerate(images, 1):
            image.save(folder / kind / f"{number}.jpg", quality=92)


# %% [markdown]
# **Your own images.** Name a folder with one sub-folder for each kind, and run all cells. If the environment variable
# `JAXLOC_TEST_DATA` names a folder that holds `flowers17_small` (a part of Oxford Flowers 17), that is taken. The
# remarks on single images are about the set composed above.

# %%
DATA = os.environ.get("JAXLOC_TEST_DATA")
FOLDER = Path(DATA, "flowers17_small") if DATA else None  # for example Path("flowers")
EACH = 8  # images of each kind; the first two of them are queries, the others are the gallery
ASKED = 2
SIDE = 192  # images are shrunk until their shorter side has at most this many pixels

temporary = tempfile.TemporaryDirectory()
images = Path(temporary.name, "images")
images.mkdir()
if FOLDER is None:
    compose(images, EACH)
else:
    for kind in find_sets([FOLDER], per_folder=True)[:6]:
        (images / kind.name).mkdir()
        for source in kind.sources[:EACH]:
            shutil.copy(source.path, images / kind.name)

kinds = find_sets([images], per_folder=True)
sources = [source for kind in kinds for source in kind.sources]
labels = np.array([kind.name for kind in kinds for _ in kind.sources])
items = [Item(number, *read_image(source.path, shorter_side=SIDE)[:2]) for number, source in enumerate(sources)]

place = np.concatenate([np.arange(len(kind.sources)) for kind in kinds])
queries, gallery = np.flatnonzero(place < ASKED), np.flatnonzero(place >= ASKED)
f"{len(kinds)} kinds, {len(queries)} queries, {len(gallery)} images in the gallery"

# %%
figure, axes = grid(len(kinds), EACH, 1.25 * len(kinds))
for item in items:
    axis = axes[[kind.name for kind in kinds].index(labels[item.number]), place[item.number]]
    draw(axis, item.pixels, "query" if place[item.number] < ASKED else "")
for axis, kind in zip(axes[:, 0], kinds, strict=True):
    axis.set_ylabel(kind.name)
show(figure)

# %% [markdown]
# ## The short way
#
# `describe` makes a vector of each image, and `search` finds the vectors most like a query's. Images may be paths,
# arrays or PIL images, of any sizes.

# %%
net = jaxloc.load("vgg16")
shown = [items[number].pixels for number in (*gallery, queries[0])]
vectors = jaxloc.describe(shown, net, descriptor="scda", progress=False)
found = jaxloc.search(vectors[:-1], vectors[-1], k=7)

figure, [axes] = grid(1, 8, 1.6)
draw(axes[0], items[queries[0]].pixels, "query")
draw_results(axes[1:], queries[0], jax.tree.map(lambda part: part[0], found), 7)
show(figure)

# %% [markdown]
# ## 2. From an image to a vector
#
# `extract_features` runs the network; the parameters are an argument of the jitted function, never a closure. Two
# layers are needed: `pool5`, in which the object is found, and `relu5_2` below it, with cells half as wide.

# %%
weights = models.load("vgg16")
extract = jax.jit(
    functools.partial(models.extract_features, backbone=weights.backbone, layers=("relu5_2", "pool5")),
    compiler_options=models.compiler_options(weights.backbone),
)

# %% [markdown]
# **SCDA+** of one image, step by step:
#
# 1. The aggregation map $A$ adds up the channels of `pool5`. The largest connected component of $A > \bar a$ is the
#    object's mask.
# 2. Of the cells inside the mask, the average and the maximum of each channel, each scaled to unit length, form the
#    vector **SCDA** (1024 numbers).
# 3. In `relu5_2`, cells count if they lie in that mask and exceed their own mean. They are pooled likewise, and their
#    half of the vector is multiplied by ½. Both halves together are **SCDA+** (2048 numbers).


# %%
def describe(maps):
    (top, size), (lower, size_lower) = maps["pool5"], maps["relu5_2"]
    mask = scda.object_mask(scda.aggregation_map(top), size=size)
    mask_lower = scda.lower_mask(mask, scda.aggregation_map(lower), size=size, size_lower=size_lower)
    return scda.descriptor_plus(top, mask, lower, mask_lower, weight=0.5), mask, mask_lower


# %% [markdown]
# **SCDA_flip+** appends the SCDA+ of the mirrored image (4096 numbers). The mirror image is an image of its own: it
# goes through the network, and its object is found again. To mirror the features instead would give something else,
# because the network's filters are not symmetric. The mask may differ too:

# %%
example = items[queries[min(8, len(queries) - 1)]]
mirrored = grids.flip_columns(example.pixels)
maps, maps_mirrored = extract(weights.params, example.pixels), extract(weights.params, mirrored)
plus, mask, mask_lower = describe(maps)
plus_of_flip, mask_mirrored, _ = describe(maps_mirrored)
vector = scda.descriptor_flip_plus(plus, plus_of_flip)

figure, [axes] = grid(1, 5, 2.1)
draw(axes[0], example.pixels, "image")
aggregation = scda.aggregation_map(maps["pool5"].features)
draw_cells(axes[1], example.pixels, aggregation, "$A$ of pool5", cmap="magma", vmin=0)
draw_mask(axes[2], example.pixels, mask, "mask of pool5")
draw_mask(axes[3], example.pixels, mask_lower, "mask of relu5_2")
draw_mask(axes[4], mirrored, mask_mirrored, "mirrored, mask of pool5")
show(figure)

# %%
plus.shape, vector.shape

# %% [markdown]
# ## 3. A batch of mixed sizes
#
# Every function above takes one image. `jax.vmap` makes it a batch, and `size`, which travels with each map, says
# which of its cells are the image and which are padding. `choose_buckets` finds a few shapes for all images, so
# that few programs are compiled; `make_batches` pads the images to them.

# %%
describe_batch = jax.jit(jax.vmap(describe))
mirror_batch = jax.jit(lambda images, sizes: jax.vmap(grids.flip_columns)(images, size=sizes))

bucket = choose_buckets(collections.Counter(item.pixels.shape[:2] for item in items), limit=2, step=32)
batches = functools.partial(make_batches, items, bucket=bucket, capacity=lambda shape: 4)

vectors, masks = {}, {}
for batch in batches():
    maps = extract(weights.params, batch.images, batch.sizes)
    plus, mask, _ = describe_batch(maps)
    maps_mirrored = extract(weights.params, mirror_batch(batch.images, batch.sizes), batch.sizes)
    plus_of_flip, _, _ = describe_batch(maps_mirrored)
    flip_plus = np.asarray(jax.vmap(scda.descriptor_flip_plus)(plus, plus_of_flip))
    for position, number in enumerate(batch.indices):
        if number >= 0:  # the others only fill the batch
            vectors[number] = flip_plus[position]
            masks[number] = crop(mask[position], maps["pool5"].size[position])

vectors = np.stack([vectors[number] for number in range(len(items))])
vectors.shape

# %% [markdown]
# **Padded is the same as alone.** Here are three images of different sizes, each through the network by itself, and
# beside it what the padded batch gave:

# %%
rows = []
for item in list({item.pixels.shape: item for item in items}.values())[:3]:
    plus, mask, _ = describe(extract(weights.params, item.pixels))
    difference = np.abs(np.asarray(plus) - vectors[item.number, : len(plus)]).max()
    same = np.array_equal(mask, masks[item.number])
    pixels = item.pixels.shape[:2]
    rows.append([pixels, bucket(pixels), "yes" if same else "no", f"{difference:.0e}"])
table(["pixels", "padded to", "same mask", "largest difference of SCDA+"], rows)

# %% [markdown]
# ## 4. Search
#
# Scale the vectors to unit length, and the inner product is the cosine of their angle: 1 for equal directions.
# `ranking.top_k` returns the best gallery rows of each query. It is exact, goes through the gallery in pieces, and has
# a relative for several devices, `sharded_top_k`.

# %%
unit = pooling.l2_normalize(vectors)
top_k = jax.jit(ranking.top_k, static_argnames="k")
found = top_k(unit[queries], unit[gallery], k=len(gallery))  # the whole ranking, to measure it
found.indices.shape

# %% [markdown]
# The first query of each kind with its mask, and its first seven results. Above each result is its cosine; ✓ (green,
# thin frame) is of the query's kind, ✗ (red, thick frame) is not.


# %%
def strips(found, shown, count=7):
    figure, axes = grid(len(shown), count + 1, 1.35 * len(shown))
    for row, which in zip(axes, shown, strict=True):
        query = queries[which]
        draw_mask(row[0], items[query].pixels, masks[query], labels[query])
        draw_results(row[1:], query, jax.tree.map(lambda values, which=which: values[which], found), count)
    return show(figure)


strips(found, range(0, len(queries), ASKED))

# %% [markdown]
# The gallery holds six of each kind, so at best six are right and the seventh is not. Three things to see:
#
# - The motorcycle's mask also takes in some of the space suit behind it, and suits come fifth and sixth.
# - The cat with a motorcycle on it counts as wrong, although there is a cat. A label knows one kind an image.
# - There is no cosine below which all are wrong: coins fall off after 0.68, rockets are right down to 0.46.
#
# `metrics.judge` compares rankings with labels. *Average precision* (AP) is 1 if all of a kind come before all others;
# its mean over queries is mAP.


# %%
def precisions(found):
    judged = metrics.judge(np.asarray(found.indices), labels[queries], labels[gallery])
    return metrics.average_precision(judged.relevant, keep=judged.keep, positives=judged.positives)


f"mAP {precisions(found).mean():.3f}"

# %% [markdown]
# ## 5. Whitening
#
# 4096 numbers are many, and some directions of the vectors say the same thing over and over. SVD finds the directions
# in which the gallery varies most; we keep the first few. **Whitening** also divides each by its standard deviation, so
# that no direction drowns the others. Fitted on the gallery, applied to gallery and queries:

# %%
DIMENSION = 8
spectrum = jax.jit(whitening.spectrum_of_samples, static_argnames="centred")(vectors[gallery], centred=False)
fitted = whitening.fit(spectrum, dimension=DIMENSION)
whitened = whitening.apply(fitted, vectors)
found_whitened = top_k(whitened[queries], whitened[gallery], k=len(gallery))
table(
    ["dimensions", "mAP"],
    [
        [vectors.shape[1], f"{precisions(found).mean():.3f}"],
        [f"{DIMENSION}, whitened", f"{precisions(found_whitened).mean():.3f}"],
    ],
)

# %% [markdown]
# How many dimensions? One program can try them all: columns beyond the number kept are set to zero, so every try has
# the same shapes, and `vmap` runs over the number.


# %%
@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0))
def rank_with(fitted, kept):
    cut = fitted._replace(projection=fitted.projection * (jnp.arange(fitted.projection.shape[1]) < kept))
    return ranking.top_k(whitening.apply(cut, vectors[queries]), whitening.apply(cut, vectors[gallery]), k=len(gallery))


most = int(whitening.rank(spectrum))
kept = np.arange(2, most + 1, 2)
figure, axis = plt.subplots(figsize=(11, 2.8), dpi=100, layout="constrained")
for power, colour, name in ((0, GREY, "SVD, only cut"), (1, TEAL, "SVD and whitening")):
    tries = rank_with(whitening.fit(spectrum, dimension=most, power=power), kept)
    values = [
        precisions(jax.tree.map(lambda part, number=number: part[number], tries)).mean() for number in range(len(kept))
    ]
    axis.plot(kept, values, "o-", color=colour, markersize=4, label=name)
axis.axhline(precisions(found).mean(), color="black", linewidth=1, linestyle="--", label="all 4096, as they are")
axis.set(xlabel="dimensions kept", ylabel="mAP")
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
show(figure)

# %% [markdown]
# A handful of dimensions is as good as all, for a five-hundredth of the memory. But look at the right end: **whitening
# needs many more images than dimensions.** The last directions of so few vectors are noise, and whitening makes
# noise as loud as anything else. The paper keeps 256 dimensions of galleries with thousands of images. The 8 above
# were chosen with this curve in sight, which you must not do if you want to report a number.
#
# ## 6. What a dimension means
#
# Section 4.2 of the paper sorts images by one dimension of the whitened vectors, and sees attributes: colour, shape,
# background. `attributes.extremes` keeps both ends, because the sign of a singular vector is arbitrary.

# %%
ENDS = 4
ends = attributes.extremes(whitened[gallery], count=ENDS, dimensions=range(4))
figure, axes = grid(4, 2 * ENDS + 1, 5.2)
for number, row in enumerate(axes):
    row[ENDS].remove()
    lowest, highest = row[:ENDS], row[ENDS + 1 :][::-1]
    for axes_of_end, indices, values in ((lowest, ends.low, ends.low_values), (highest, ends.high, ends.high_values)):
        for axis, image, value in zip(axes_of_end, indices[number], values[number], strict=True):
            draw(axis, items[gallery[image]].pixels, f"{value:+.2f}")
    row[0].set_ylabel(f"dimension {number}")
show(figure)

# %% [markdown]
# Left the lowest values, right the highest. Dimension 0 is mostly the mean of all vectors, which SVD leaves in: it has
# one sign, and says little. The next ones set cats and coins apart from the rest. In this set kinds are all there is to
# tell; in a set of one kind, such as birds, expect colours and poses.
#
# ## 7. After the first search
#
# **Query expansion** adds the first results to the query, each weighted by its cosine to the power α, and searches
# again. **Diffusion** lets the ranking flow along a graph of neighbours: an image can be found through another that is
# like both. Both trust the first results, so they help where those are right, and harm where they are not.

# %%
expanded = ranking.expand_queries(
    whitened[queries], whitened[gallery], top_k(whitened[queries], whitened[gallery], k=2), exponent=3.0
)
found_expanded = top_k(expanded, whitened[gallery], k=len(gallery))

NEIGHBORS = EACH - ASKED - 1  # of the same kind, beside itself
graph = jax.jit(ranking.neighbor_graph, static_argnames="k")(whitened[gallery], k=NEIGHBORS)
diffused = jax.jit(ranking.diffuse, static_argnames="neighbors")(found_whitened, graph, neighbors=3)
found_diffused = diffused.found

after = {"cosine": found_whitened, "expansion": found_expanded, "diffusion": found_diffused}
values = {name: precisions(result) for name, result in after.items()}
rows = [[sources[query].name, *(f"{values[name][which]:.2f}" for name in after)] for which, query in enumerate(queries)]
table(["AP of query", *after], [*rows, ["**mean**", *(f"**{values[name].mean():.3f}**" for name in after)]])

# %% [markdown]
# The query that changes most, with its results by each:

# %%
changes = np.stack([np.abs(values[name] - values["cosine"]) for name in ("expansion", "diffusion")]).max(0)
which = int(changes.argmax())
query = queries[which]

figure, axes = grid(3, 9, 4.2)
for row, (name, result) in zip(axes, after.items(), strict=True):
    draw_mask(row[0], items[query].pixels, masks[query], f"AP {values[name][which]:.2f}")
    draw_results(row[1:], query, jax.tree.map(lambda part: part[which], result), 8)
    row[0].set_ylabel(name)
show(figure)

# %% [markdown]
# Scores of diffusion are not cosines; only their order means anything. The graph's `k` matters most: more neighbours
# than a kind has images link kinds to each other. Try `NEIGHBORS = 12`.
#
# ## 8. The same with the jobs
#
# `index` reads images, describes them in padded batches, and keeps their vectors in a folder, the *gallery*. After a
# stop the same call resumes it; called again later, it adds new images. `search` describes queries as the gallery was
# described.

# %%
folder = Path(temporary.name, "gallery")
options = IndexOptions(descriptor="scda", whiten=f"svd-{DIMENSION}", max_side=SIDE)
done = index([sources[number].path for number in gallery], folder, options)
f"{done.total} vectors of {done.dimension} dimensions, {len(done.skipped)} skipped"

# %%
answer = search(folder, [sources[example.number].path], ranking=SearchOptions(top=7))
print(search_text(answer))

# %% [markdown]
# The job computes what the pure functions do. SCDA is the first 1024 numbers of SCDA_flip+, so we can compare them with
# the vectors that the gallery keeps:

# %%
stored = Gallery.open(folder)
stored = np.concatenate([stored.vectors(shard) for shard in stored.shards])
f"largest difference {np.abs(stored - vectors[gallery, :1024]).max():.0e}"

# %% [markdown]
# `compare` makes descriptors, here those without a codebook, from one pass of the network, and measures each with and
# without whitening. Each image is a query against all the others: the table of the paper for your own images.

# %%
names = ["pool5", "spoc", "crow", "mac", "rmac", "gem", "avg", "max", "scda", "scda+", "scda_flip+"]
options = DescribeOptions(max_side=SIDE)
comparison = compare([images], options, descriptors=names, whitenings=("none", f"svd-{DIMENSION}"))
measured = collections.defaultdict(list)
for line in comparison.lines:
    if line.scored is not None:
        measured[line.descriptor] += [line.scored.mean.top1, line.scored.mean.ap_step]
table(
    ["descriptor", "what it is", "first right, %", "mAP, %", "whitened: first right", "whitened: mAP"],
    [
        [DESCRIPTORS[name].title, DESCRIPTORS[name].explanation, *(f"{value:.1f}" for value in row)]
        for name, row in measured.items()
    ],
)

# %% [markdown]
# Each image was a query here, 48 instead of 12, so one more or less is two points: **this table ranks nothing.** The
# descriptors differ little, and to select the object's cells brings nothing over Pool5, which takes all: most of these
# images hold little else. Whitening lowers every mAP.
#
# Real images differ more. On six kinds of Oxford Flowers 17, with the same cells, mAP is 78.6 % for Pool5 and 76.8 %
# for SCDA_flip+; whitened, 78.8 % and 84.2 %. Query expansion lifted the mAP of section 7 from 0.885 to 0.922 there,
# diffusion to 0.903, but diffusion harmed four of the twelve queries. On all 8,189 images of Oxford Flowers 102 the
# paper reports 75.1 % first right for SCDA, 77.6 % for SCDA_flip+, and 80.7 % for that whitened to 256 dimensions.
#
# As commands, with a page to look through in the end:
#
# ```sh
# jaxloc index photos --out gallery --descriptor scda_flip+ --whiten svd-256
# jaxloc search gallery query.jpg --expand 2 --html found.html --attributes 8
# jaxloc compare photos                               # each sub-folder is a kind
# ```
#
# ## 9. What to read next
#
# - `jaxloc/scda.py`: the method, with the paper's equation numbers. `jaxloc/pooling.py`, `spoc.py`, `crow.py`,
#   `rmac.py`, `encoding.py`: the others of the table.
# - `jaxloc/whitening.py`: PCA, attenuated whitening (`power`), and whitening learnt from labels.
# - `jaxloc/ranking/`: streaming and sharded search, k-reciprocal re-ranking, diffusion.
# - `jaxloc approximate --help`: for galleries of a million images and more.
# - The paper: [arXiv:1604.04994](https://arxiv.org/abs/1604.04994).
