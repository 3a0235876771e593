"""Jobs whose feature maps OpenVINO computes."""

import numpy as np
import pytest

from jaxloc import run
from jaxloc.errors import UsageError
from tests.inference.test_engines import with_openvino
from tests.run import helpers


@with_openvino
def test_a_job_finds_the_same_boxes_by_openvino_and_does_not_resume_the_other_engine_s(tmp_path):
    helpers.write_photographs(tmp_path / "photos", with_object=3, without=0)

    def colocalize(out, **options):
        findings = run.colocalize([tmp_path / "photos"], tmp_path / out, run.Options(report_limit=0, **options))
        return [one.box for one in findings.images]

    by_xla = colocalize("xla")
    np.testing.assert_array_equal(colocalize("openvino", engine="openvino"), by_xla)
    with pytest.raises(UsageError, match=r"a run with engine \(--engine\) openvino, and xla is asked for"):
        colocalize("openvino")
