"""TokenCut: the object of a single image, from a normalised cut of the graph of its patches.

Wang, Shen, Hu, Yuan, Crowley & Vaufreydaz, "Self-supervised transformers for unsupervised object discovery using
normalized cut", CVPR 2022. Features are the keys of a vision transformer's last block (DINO's in the paper). Two
patches are joined with weight 1 if the cosine of their features exceeds τ, else with ε; the second eigenvector of the
normalised Laplacian is cut at its mean, and the object is the component of the patch of largest magnitude
(4-connected in the released code) on its side of the cut. Features of both signs are presumed: cosines of features that
are never negative all exceed τ.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components, pooling
from jaxloc._checks import as_array
from jaxloc._derivatives import eigh
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization


class Cut(NamedTuple):
    """A cut of one image's patches.

    Attributes:
        vector: float32 ``[h, w]``, the second eigenvector less its mean, positive on the object's side; 0 outside the
            valid cells.
        seed: int32 ``[]``, number in raster order of the patch of largest magnitude.
        eigenvalue: float32 ``[]``, the second one: 0 if no edge is cut.
    """

    vector: jax.Array
    seed: jax.Array
    eigenvalue: jax.Array


@jitted()
def cut(
    features: ArrayLike, *, threshold: ArrayLike = 0.2, epsilon: ArrayLike = 1e-5, size: ArrayLike | None = None
) -> Cut:
    """Cut the graph of an image's patches in two (equations 3 to 6); takes memory and time of all eigenvectors.

    Args:
        features: ``[h, w, d]``.
        threshold: ``τ``, the cosine that joins two patches.
        epsilon: ``ε``, the weight between others.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    features = as_array("features", features, "[h, w, d]", jnp.float32)
    valid = valid_cells(size, features.shape[:2]).ravel()
    patches = pooling.l2_normalize(features.reshape(-1, features.shape[-1]))
    with jax.default_matmul_precision("highest"):
        weights = jnp.where(patches @ patches.T > threshold, 1.0, epsilon)
        weights = jnp.where(valid[:, None] & valid, weights, 0)
        degrees = jnp.where(valid, weights.sum(1), 1)
        scale = 1 / jnp.sqrt(degrees)
        # The Laplacian's eigenvalues are at most 2: those of patches outside the image come after all others.
        laplacian = jnp.diag(jnp.where(valid, 1.0, 3.0)) - weights * scale[:, None] * scale
        eigenvalues, vectors = eigh(laplacian)
    second = vectors[:, min(1, len(vectors) - 1)] * scale * valid
    centred = jnp.where(valid, second - second.sum() / jnp.maximum(valid.sum(), 1), 0)
    seed = jnp.argmax(jnp.where(valid, jnp.abs(second), -1))
    side = jnp.where(centred[seed] > 0, 1.0, -1.0)
    return Cut((centred * side).reshape(features.shape[:2]), seed, eigenvalues[min(1, len(vectors) - 1)])


@jitted("connectivity", "backend", nan=True)
def localize(
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    threshold: ArrayLike = 0.2,
    epsilon: ArrayLike = 1e-5,
    size: ArrayLike | None = None,
    connectivity: int = 4,
    backend: components.Backend = "auto",
) -> Localization:
    """The object of one image; the score is one less the second eigenvalue, 1 where no edge is cut.

    Args:
        features: ``[h, w, d]``, of both signs.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        threshold: ``τ``, the cosine that joins two patches.
        epsilon: ``ε``, the weight between others.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        connectivity: 4 (the released code) or 8 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        ``Localization``, whose ``response`` is ``Cut.vector``.
    """
    vector, seed, eigenvalue = cut(features, threshold=threshold, epsilon=epsilon, size=size)
    valid = valid_cells(size, vector.shape)
    side = valid & (vector > 0)
    mask = components.component_with(side, seed, connectivity=connectivity, backend=backend)
    found = mask.any()
    return Localization(
        response=vector,
        mask=mask,
        box=boxes.mask_to_box(mask, image_size, size=size),
        found=found,
        score=jnp.where(found, jnp.clip(1 - eigenvalue, 0, 1), 0),
        positive_share=side.sum() / jnp.maximum(valid.sum(), 1),
    )
