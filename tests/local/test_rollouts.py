"""Promotions and rollbacks under load: no request fails. `tests/benchmarks/rollout_load.py` measures more."""

from pathlib import Path

import pytest

from support import load, rollouts

pytestmark = pytest.mark.runs

SECONDS = 20


def test_no_request_fails_while_versions_change(tmp_path: Path) -> None:
    with (
        rollouts.serve(tmp_path) as (served, server),
        load.sent_to(server.address, served.name, rollouts.INPUTS, per_second=300) as requests,
    ):
        changes = rollouts.change_in_turn(served, server.address, SECONDS, every=3)
        sent = requests.stop()

    assert [(one.action, one.version) for one in changes] == [
        *(("promote", 2), ("rollback", 1), ("promote", 3), ("rollback", 1), ("promote", 2), ("rollback", 1))
    ]
    assert sent.failures == {}
    assert sent.codes == {"OK": sent.requests}
    assert sent.requests > 100 * SECONDS
