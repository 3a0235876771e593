"""Every option of every job, once: fields of dataclasses that import without JAX.

The command line, the classes' documentation, the checks of values, the settings in reports and the identity of a run
all derive from these fields; see ``jaxloc.options.option``.
"""

from jaxloc.options.checkout import ComposeOptions, CountOptions, CutOptions, TrainCounterOptions
from jaxloc.options.clean import CleanOptions
from jaxloc.options.discover import DiscoverOptions
from jaxloc.options.evaluate import EvaluateOptions, ReproduceOptions
from jaxloc.options.export import ExportOptions
from jaxloc.options.fewshot import EpisodeOptions, FewShotOptions, NameOptions
from jaxloc.options.learn import ClassifyOptions, FinetuneOptions
from jaxloc.options.localize import LocalizeEachOptions, LocalizeOptions, SetOptions, VideoOptions
from jaxloc.options.maskcnn import MaskCnnOptions
from jaxloc.options.network import NetworkOptions, ProcessOptions, network_options, reading, workers_of
from jaxloc.options.option import Options, fitted_only
from jaxloc.options.reid import ReidOptions
from jaxloc.options.retrieval import DescribeOptions, IndexOptions, SearchOptions
