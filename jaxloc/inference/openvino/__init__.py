"""Feature maps by OpenVINO, an extra: ``pip install 'jaxloc[openvino]'``.

Importing the package ``openvino`` forks the process to report its use over the network. A fork copies locks that JAX's
threads hold, and jaxloc reports nothing, so here ``openvino`` finds its telemetry not installed.
"""

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_modules.setdefault("openvino_telemetry", None)
