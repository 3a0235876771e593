"""Public functions of the pure modules that no case calls."""

ELSEWHERE = {
    "attributes.empty": "takes no arrays",
    "clustering.psum": "works across devices: see test_collectives",
    "components.label_stack": "NumPy on the host",
    "components.largest_stack": "NumPy on the host",
    "discovery.fit_objects": "looks at values, on the host",
    "moments.count": "gives a Python integer, on the host",
    "moments.empty": "takes no arrays",
    "moments.psum": "works across devices: see test_collectives",
    "parts.components_needed": "gives a Python integer",
    "ranking.empty": "takes no arrays",
    "refinement.check_opencv": "takes no arrays",
    "refinement.grabcut": "OpenCV on the host",
    "ranking.sharded_top_k": "takes the mesh itself: see tests/ranking",
}
"""The rest, and why."""
