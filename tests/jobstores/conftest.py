"""What the tests of the job stores share."""

from __future__ import annotations

import pytest

from tests.jobstores.servers import STORES, Backend


@pytest.fixture(params=list(STORES))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each server in turn, with an empty place of the test's own."""
    server = request.getfixturevalue(request.param)
    return Backend(server, STORES[request.param], server.fresh())
