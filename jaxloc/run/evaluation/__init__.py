"""Predictions against the truth: measures by class, named mismatches, and tables."""

from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.evaluate import evaluate, evaluate_files
from jaxloc.run.evaluation.groups import GroupScores
from jaxloc.run.evaluation.results import ClassScore, Evaluation, Figure, Note
from jaxloc.run.evaluation.tables import evaluation_latex, evaluation_table, to_plain
