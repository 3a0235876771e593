"""What every public function keeps to, checked by looking at them all."""

import importlib
import inspect
import pkgutil

import jax
import numpy as np
import pytest

import jaxloc
import weights_convert

ONE_IMAGE = ("boxes", "components", "crops", "grids", "localization", "moments", "pooling", "tracks", "whitening")
ONE_IMAGE += ("clustering", "encoding", "graphs", "mixture")
ONE_IMAGE += (
    "attributes",
    "beam",
    "bilinear",
    "cam",
    "crow",
    "ddt",
    "eiss",
    "fusion",
    "losses",
    "lost",
    "maskcnn",
    "parts",
)
ONE_IMAGE += ("centers", "piecewise", "rmac", "scda", "spoc", "spreading", "tokencut")


def public(module) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and f"{getattr(value, '__module__', None)}.".startswith(f"{module.__name__}.")
        and (inspect.isfunction(value) or inspect.isclass(value))
    }


def every_module() -> list[str]:
    found = []
    for package in (jaxloc, weights_convert):
        found += [info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in found if not name.endswith("__main__")]


@pytest.mark.parametrize("name", every_module())
def test_everything_public_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__, name
    for symbol, value in public(module).items():
        assert inspect.getdoc(value), f"{name}.{symbol}"


@pytest.mark.parametrize("name", ONE_IMAGE)
def test_options_are_keyword_only_and_arrays_come_first(name):
    module = importlib.import_module(f"jaxloc.{name}")
    for symbol, function in public(module).items():
        if not inspect.isfunction(function):
            continue
        parameters = list(inspect.signature(function).parameters.values())
        options = [p.name for p in parameters if p.name in ("connectivity", "backend", "size", "sign", "threshold")]
        by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        allowed = {"valid_cells": {"size"}, "map_size": {"size"}, "label_stack": {"connectivity"}, "regions": {"size"}}
        allowed["largest_stack"] = {"connectivity"}
        assert not (set(options) & set(by_position)) - allowed.get(symbol, set()), f"{name}.{symbol}"


NOT_PROGRAMS = {
    "beam.search": "takes functions of the caller's",
    "components.label_stack": "NumPy on the host",
    "components.largest_stack": "NumPy on the host",
    "discovery.fit_objects": "looks at values, outside jit",
    "eiss.search": "takes functions of the caller's",
    "moments.count": "gives a Python integer",
    "parts.components_needed": "gives a Python integer",
    "refinement.check_opencv": "takes no arrays",
    "refinement.grabcut": "OpenCV on the host",
    "rmac.descriptor": "its whitening may be a function",
    "whitening.fit": "looks at values, outside jit",
    "whitening.fit_supervised": "looks at values, outside jit",
}


@pytest.mark.parametrize("name", [*ONE_IMAGE, "discovery", "ranking", "refinement", "svm"])
def test_public_functions_are_programs_and_do_not_assert(name):
    module = importlib.import_module(f"jaxloc.{name}")
    for symbol in getattr(module, "__all__", public(module)):
        if inspect.isfunction(function := getattr(module, symbol)):
            source = inspect.getsource(function)
            assert source.startswith("@jitted(") != (f"{name}.{symbol}" in NOT_PROGRAMS), symbol
            assert "assert " not in source


def test_results_are_pytrees():
    from jaxloc import (
        attributes,
        centers,
        clustering,
        ddt,
        discovery,
        graphs,
        localization,
        maskcnn,
        mixture,
        models,
        moments,
        parts,
        piecewise,
        ranking,
        tracks,
        whitening,
    )

    kinds = (moments.Moments, ddt.Model, localization.Localization, models.FeatureMap)
    kinds += (clustering.KMeans, clustering.KMeansSums, clustering.KMeansFit)
    kinds += (mixture.GaussianMixture, mixture.GaussianMixtureSums, mixture.GaussianMixtureFit)
    kinds += (
        attributes.Extremes,
        centers.Detections,
        centers.Targets,
        discovery.InnerRegions,
        discovery.ObjectModel,
        discovery.Regions,
        discovery.WeightedVectors,
        whitening.Spectrum,
        whitening.Whitening,
        graphs.Graph,
        ranking.TopK,
        maskcnn.PartBoxes,
        parts.Parts,
        piecewise.Mapping,
        tracks.Track,
    )
    for kind in kinds:
        example = kind(*[np.zeros(2)] * len(kind._fields))
        assert len(jax.tree.leaves(example)) == len(kind._fields)
        assert isinstance(jax.jit(lambda x: x)(example), kind)


@pytest.mark.parametrize("name", ["attributes", "crow", "ddt", "discovery", "parts", "rmac", "scda", "spoc"])
def test_methods_cite_their_paper(name):
    documentation = importlib.import_module(f"jaxloc.{name}").__doc__
    assert any(str(year) in documentation for year in range(2015, 2020))
