"""What some tests cannot do without."""

import pytest
from torch.utils import backend_registration

PRETEND_DEVICE = pytest.mark.skipif(
    not hasattr(backend_registration, "_DummyBackendModule"),
    reason="this torch cannot be given a device that is written in Python, newer ones can",
)
