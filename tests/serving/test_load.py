"""A slice of what `python -m tests.serving.load` does for a minute."""

import asyncio

from tests.serving.conftest import Server, eventually
from tests.serving.load import PROMPT, Weather, storm


def test_a_storm_changes_no_text_and_leaves_nothing(server: Server) -> None:
    rounds = iter(range(400))
    weather = Weather(
        "letters", PROMPT, streams=16, leavers=4, slow_readers=2, slowloris=4, tokens=80
    )
    found = asyncio.run(storm(server.port, weather, lambda: next(rounds, None) is not None))
    assert found.answered >= 16
    assert (found.different, found.failed) == (0, [])
    assert found.health_seconds
    assert eventually(lambda: server.host.connections == 0)
    assert (server.service.admission.running, server.service.admission.waiting) == (0, 0)
    assert len(server.service.catalogue.get("letters").worker._session) == 0
