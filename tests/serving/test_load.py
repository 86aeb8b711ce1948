"""A slice of what `python -m tests.serving.load` does for a minute."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.serving.conftest import Server, eventually
from tests.serving.load import ATTACKER, HONEST, PROMPT, Siege, Weather, besiege, storm

Serve = Callable[..., Any]


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


def test_an_attacker_changes_no_text_of_the_others(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{HONEST}\n{ATTACKER}\n")
    rounds = iter(range(60))
    weather = Weather(
        "letters", PROMPT, streams=8, leavers=0, slow_readers=0, slowloris=0, tokens=80, key=HONEST
    )
    siege = Siege(
        ATTACKER, expensive=1, wrong_bodies=1, idle=40, heads_without_key=40, body_bytes=1 << 16
    )
    over = False

    async def both(port: int) -> tuple[Any, dict[str, int]]:
        begun = asyncio.Event()

        async def honest() -> Any:
            nonlocal over
            found = await storm(port, weather, lambda: next(rounds, None) is not None, begun)
            over = True
            return found

        return await asyncio.gather(
            honest(), besiege(port, "letters", siege, lambda: not over, begun)
        )

    with serve(api_key_file=keys, max_connections=32, max_body=1 << 16) as server:
        found, statuses = asyncio.run(both(server.port))
        assert found.answered >= 8
        assert (found.different, found.failed) == (0, [])
        assert statuses["400"]
        assert not [status for status in statuses if status.startswith("5")]
        assert eventually(lambda: server.service.answers.taken == 0)
        assert eventually(lambda: server.host.connections == 0)
