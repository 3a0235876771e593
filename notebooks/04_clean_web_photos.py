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
# # From a pile of web photographs to a data set
#
# Ask a search engine for images of a thing, and some of what comes back shows something else. The DDT papers clean
# such a pile before they train on it: co-localise each class, drop the images in which nothing shared was found,
# and keep the boxes. `jaxloc clean` does that, looks for near-duplicates as well, and writes a page on which a person
# has the last word.
#
# This notebook makes a noisy folder whose noise is known, cleans it, draws the ROC of the noise score, and trains the
# same small classifier on everything and on what was kept. It needs no connection; it takes a minute on two CPU
# cores. Put your own folder's name into `FOLDER` below and run all cells: then nothing is known of the noise, and the
# cells that need that say so.

# %%
import functools
import io
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import PIL.Image
import PIL.ImageEnhance
import skimage.data
from IPython.display import Image, Markdown

import jaxloc
from jaxloc import metrics
from jaxloc.data import demo, read_image
from jaxloc.options import CleanOptions, LocalizeOptions
from jaxloc.run.cleaning import clean

# %% [markdown]
# The next cell only draws; skip it.

# %%
CYAN, RED, GREY, TEAL, AMBER = "#00e5ff", "#d7191c", "#9aa4ad", "#00838f", "#d08c00"
plt.rcParams.update({"font.size": 11, "axes.titlesize": 11, "axes.spines.top": False, "axes.spines.right": False})


def show(figure):
    """The figure as a PNG of 256 colours, so that the notebook's file stays small."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    PIL.Image.open(full).convert("RGB").quantize(256).save(small, "PNG", optimize=True)
    return Image(small.getvalue())


def sheet(images, columns=10):
    """Photographs side by side: ``(path, box or None, colour of the frame, title)`` each."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 1.25 * rows), dpi=100, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (path, box, colour, title) in zip(axes.flat, images, strict=False):
        pixels = read_image(path).pixels
        axis.imshow(pixels)
        axis.set_title(title, fontsize=8, color=colour, pad=2)
        height, width = pixels.shape[:2]
        axis.add_patch(plt.Rectangle((0, 0), width, height, fill=False, edgecolor=colour, linewidth=5))
        if box is not None:
            x0, y0, x1, y1 = box
            axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=CYAN, linewidth=1.8))
    return show(figure)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return Markdown("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


# %% [markdown]
# ## 1. A noisy folder
#
# Where real photographs are at hand (the environment variable `JAXLOC_TEST_DATA` names a folder with `voc07_left`, a
# part of PASCAL VOC 2007), the classes are some of theirs. Otherwise images are made from photographs that ship
# inside scikit-image: the motorcycle that `demo.compose` pastes onto others, and crops of four photographs, each
# turned, mirrored, brightened or darkened at random. That is an **easy** set: it shows that the code works, not how
# well it does on the web.
#
# Three images in ten of each training folder are then exchanged for images of other classes, as a search engine's
# mistakes would be. The test images stay clean.

# %%
FOLDER = None  # for example "web-photos", with a sub-folder for each class
NOISE, TRAINING, TESTING = 0.3, 20, 8


def crops(name, number, rng):
    """Random crops of one photograph, so different that no two are near-duplicates."""
    photograph = PIL.Image.fromarray(getattr(skimage.data, name)())
    for _ in range(number):
        turned = photograph.rotate(rng.uniform(-12, 12), PIL.Image.Resampling.BILINEAR)
        share = rng.uniform(0.55, 0.95)
        width, height = (round(share * side) for side in turned.size)
        left, top = rng.integers(0, turned.width - width + 1), rng.integers(0, turned.height - height + 1)
        crop = turned.crop((left, top, left + width, top + height)).resize((320, 240))
        if rng.random() < 0.5:
            crop = crop.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        yield PIL.ImageEnhance.Brightness(crop).enhance(rng.uniform(0.6, 1.4))


def made(number, rng):
    """Images by class, from photographs that ship inside scikit-image."""
    kinds = {"cat": "chelsea", "cup": "coffee", "astronaut": "astronaut", "rocket": "rocket"}
    images = {kind: list(crops(name, number, rng)) for kind, name in kinds.items()}
    composed = demo.compose(with_object=number, without=0, seed=1)
    return images | {"motorcycle": [image.image.resize((320, 240)) for image in composed]}


def real(folder, number, rng):
    """Images by class, from photographs on disk."""
    images = {}
    for kind in ("aeroplane", "bicycle", "horse", "motorbike"):
        paths = sorted(Path(folder, kind).glob("*.jpg"))
        some = rng.permutation(len(paths))[:number]
        images[kind] = [PIL.Image.fromarray(read_image(paths[one], shorter_side=240).pixels) for one in some]
    return images


def write_noisy(folder, rng):
    """Write ``train`` and ``test``, and return what each training image really shows."""
    data = os.environ.get("JAXLOC_TEST_DATA", "")
    has_photographs = Path(data, "voc07_left").is_dir()
    if has_photographs:
        images = real(Path(data, "voc07_left"), TRAINING + TESTING, rng)
    else:
        images = made(TRAINING + TESTING, rng)
    kinds = sorted(images)
    truth = {}
    for kind in kinds:
        (folder / "train" / kind).mkdir(parents=True)
        (folder / "test" / kind).mkdir(parents=True)
        for number, image in enumerate(images[kind][TRAINING:]):
            image.save(folder / "test" / kind / f"{number:02}.png")
    wrong = round(NOISE * TRAINING)
    for place, kind in enumerate(kinds):
        others = [kinds[(place + 1 + step % (len(kinds) - 1)) % len(kinds)] for step in range(wrong)]
        shown = [kind] * (TRAINING - wrong) + others
        for number, really in enumerate(shown):
            images[really][number].save(folder / "train" / kind / f"{number:02}.png")
            truth[f"{kind}/{number:02}.png"] = really
    return truth


work = Path(tempfile.mkdtemp())
truth = {} if FOLDER else write_noisy(work, np.random.default_rng(0))
web = Path(FOLDER) if FOLDER else work / "train"
classes = sorted(path.name for path in web.iterdir() if path.is_dir())
first = classes[1]  # shown as the example
sheet(
    [
        (
            path,
            None,
            TEAL if truth.get(f"{first}/{path.name}", first) == first else RED,
            truth.get(f"{first}/{path.name}", ""),
        )
        for path in sorted((web / first).iterdir())[:20]
    ]
)

# %% [markdown]
# One folder of them: in red what does not belong there.
#
# ## 2. Clean it
#
# The same as `jaxloc clean web-photos --out cleaned`. The cells of an image that DDT takes for the object deviate from
# the mean of the class in some direction; the cosine of it and what most images of the class have in common is the
# image's *alignment*. At or below 0.2 the image is noise. (`noise=0.1` would drop images by the paper's measure, the
# share of positive cells.) Here images with near-copies would be noise of another sort; there are none.

# %%
options = CleanOptions(duplicates=None, job=LocalizeOptions(max_side=192))
cleaned = clean(web, work / "cleaned", options)
decisions = {f"{item.category}/{Path(item.name).name}": item for item in cleaned.decisions.items}


def row(kind):
    some = {name: item for name, item in decisions.items() if item.category == kind}
    kept = [name for name, item in some.items() if item.keep]
    right = [name for name in some if truth.get(name) == kind]
    found = len(set(kept) & set(right))
    measured = [f"{found / max(len(kept), 1):.2f}", f"{found / len(right):.2f}"] if truth else ["–", "–"]
    return [kind, len(some), len(kept), *measured]


table(["class", "images", "kept", "precision", "recall"], map(row, classes))

# %% [markdown]
# What was decided in that folder, by rising alignment: the frame's colour says what the image really is, the title
# what the rule made of it, with the alignment. DDT's box is drawn whether an image is kept or not, for a person may
# decide otherwise: `review.html`, beside the data set, is a page to do that on, and
# `jaxloc clean … --decisions decisions-by-hand.json` applies it.

# %%
some = sorted(
    (item for item in decisions.values() if item.category == first and item.alignment is not None),
    key=lambda item: item.alignment,
)
sheet(
    [
        (
            web / first / Path(item.name).name,
            item.box,
            TEAL if truth.get(f"{first}/{Path(item.name).name}", first) == first else RED,
            f"{'kept' if item.keep else 'dropped'} {item.alignment:.2f}",
        )
        for item in some[:20]
    ]
)

# %% [markdown]
# ## 3. How well does the score tell noise?
#
# Each threshold keeps some images rightly and some wrongly; the ROC shows them all at once, and the area under it is
# the chance that an image of the class scores above one that is not. Composed images are an easy case: alignment tells
# all of their noise. The share of positive cells does not: of the astronaut DDT takes the helmet's ring alone, and
# close-ups of a cat or a cup have more positive cells. What is kept wrongly is less aligned than any image of the
# class: the page to review shows the doubtful ones first.

# %%
if truth:
    figure, axis = plt.subplots(figsize=(6, 5), dpi=100, layout="constrained")
    areas, shares = [], []
    for colour, kind in zip((TEAL, RED, AMBER, "#5e35b1", "#37474f"), classes, strict=False):
        some = {name: item for name, item in decisions.items() if item.category == kind}
        scores = np.array([item.alignment for item in some.values()])
        holds = np.array([truth[name] == kind for name in some])
        shares.append(metrics.roc_auc([item.noise_score for item in some.values()], holds))
        curve = metrics.roc_curve(scores, holds)
        areas.append(metrics.roc_auc(scores, holds))
        aside = 0.007 * len(areas)  # so that no curve hides another
        rates = curve.false_positive_rate + aside, curve.true_positive_rate - aside
        axis.plot(*rates, color=colour, linewidth=2, label=f"{kind}: {areas[-1]:.2f}")
    axis.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    title = f"mean area {np.mean(areas):.2f}, of the object share {np.mean(shares):.2f}"
    axis.set(xlabel="noise kept", ylabel="images of the class kept", title=title)
    axis.legend(loc="center right", frameon=False)
    figure = show(figure)
else:
    figure = Markdown("Nothing is known of the noise in this folder, so there is no curve.")
figure

# %% [markdown]
# ## 4. Does cleaning pay?
#
# Train the same classifier twice, on all the images under the names of their folders, and on those that were kept;
# test both on images that are clean. The classifier is as small as can be: a linear layer on SCDA's descriptor of
# the image, trained with optax.

# %%
net = jaxloc.load("vgg16")


def vectors_of(paths):
    return jaxloc.describe(paths, net, descriptor="scda", layer="relu5_3", max_side=192, progress=False)


names = list(decisions)
vectors = vectors_of([web / name for name in names])
labels = np.array([classes.index(name.split("/")[0]) for name in names])
kept = np.array([decisions[name].keep for name in names])
vectors.shape, f"{kept.mean():.0%} kept"


# %%
@jax.jit
@functools.partial(jax.vmap, in_axes=(None, None, 0))
def train(vectors, labels, seed):
    """A linear classifier for each seed: cross entropy, AdamW, all images in each of 300 steps."""
    optimizer = optax.adamw(optax.cosine_decay_schedule(0.05, 300), weight_decay=1e-3)
    start = jax.random.normal(jax.random.key(seed), (vectors.shape[1], len(classes))) * 0.01
    weight, bias = start, jnp.zeros(len(classes))
    state = optimizer.init((weight, bias))

    def loss(parameters):
        weight, bias = parameters
        return optax.softmax_cross_entropy_with_integer_labels(vectors @ weight + bias, labels).mean()

    def step(carry, _):
        parameters, state = carry
        updates, state = optimizer.update(jax.grad(loss)(parameters), state, parameters)
        return (optax.apply_updates(parameters, updates), state), None

    (parameters, _), _ = jax.lax.scan(step, ((weight, bias), state), length=300)
    return parameters


if truth:
    tested = [(path, classes.index(path.parent.name)) for path in sorted((work / "test").rglob("*.png"))]
    test_vectors, test_labels = vectors_of([path for path, _ in tested]), np.array([label for _, label in tested])
    right = np.array([truth[name] == name.split("/")[0] for name in names])
    rows = []
    for what, chosen in (
        ("all images", np.ones(len(names), bool)),
        ("those that were kept", kept),
        ("those that are right (nobody knows them)", right),
    ):
        weights, biases = train(vectors[chosen], labels[chosen], np.arange(5))
        named = np.argmax(test_vectors @ np.asarray(weights) + np.asarray(biases)[:, None], -1)
        wrong = 1 - right[chosen].mean()
        rows.append([what, int(chosen.sum()), f"{100 * wrong:.0f} %", f"{100 * np.mean(named == test_labels):.1f}"])
    result = table(["trained on", "images", "of them wrong", f"accuracy on {len(tested)} clean images, %"], rows)
else:
    result = Markdown("Without images known to be right there is nothing to test on.")
result

# %% [markdown]
# The mean of five runs that differ in where the training starts. With so few test images one image more or less is
# a point or two; on a set of your own, measure before you believe it.
#
# ## 5. The data set
#
# `clean` has written it as well, here as COCO: images, boxes, and what was decided. Another `--format` gives PASCAL
# VOC, YOLO, TFDS or Parquet, without running the network again.

# %%
files = sorted(
    path.relative_to(work / "cleaned").as_posix() for path in (work / "cleaned").rglob("*") if path.is_file()
)
shown = [name for name in files if not name.startswith("work/")]
table(["file"], [[name] for name in shown[:12]] + [[f"… and {len(shown) - 12} more"]] * (len(shown) > 12))
