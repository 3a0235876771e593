"""Images read as batches, pass after pass."""

import dataclasses
from types import SimpleNamespace

from jaxloc.data import Buckets, find_sets
from jaxloc.data.batching import CPU
from jaxloc.run import Options, stream


def test_a_later_pass_gives_the_same_batches_and_reads_no_header_again(photos, monkeypatch):
    batching = dataclasses.replace(CPU, batch=2, least=1, singles=0)
    engine = SimpleNamespace(layers=("relu5_3",), minimum_side=16, devices=1, batching=batching)
    buckets = Buckets({(128, 128): 3, (96, 128): 3}, step=32, padding=0.0)
    (images,) = find_sets([photos])
    opened = stream.Stream(images.sources, Options(), engine, buckets)
    looked = []
    look_at_sizes = stream.look_at_sizes

    def look(sources, *arguments):
        looked.extend(source.name for source in sources)
        return look_at_sizes(sources, *arguments)

    monkeypatch.setattr(stream, "look_at_sizes", look)
    batches = [opened.batches("looking", only=some) for some in ([1, 3], None, None)]
    passes = [[batch.indices.tolist() for batch in some] for some in batches]
    names = [source.name for source in images.sources]
    assert sorted(looked) == names, "each header once"
    assert passes[0] == [[1, 3]]
    assert passes[1] == passes[2]
    assert sorted(index for batch in passes[1] for index in batch if index >= 0) == list(range(len(names)))
