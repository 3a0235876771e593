"""Reproduce the papers' tables: their protocols on prepared data sets, our numbers beside theirs."""

from jaxloc.options import ReproduceOptions
from jaxloc.run.reproduce.making import reproduce
from jaxloc.run.reproduce.results import Reproduction, Row, to_plain
from jaxloc.run.reproduce.tables import TABLES, Table, find_table, overview
from jaxloc.run.reproduce.text import reproduction_latex, reproduction_table
