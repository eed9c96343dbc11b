"""The load that tests send to model servers: tests/support/load.py."""

import grpc

from support import load, model_servers
from support.waiting import until

INPUTS = {"miles": [[1.5]], "passengers": [[2]], "company": [["a"]]}


def test_a_load_of_no_time() -> None:
    with (
        model_servers.serve() as server,
        load.sent_to(server.address, "taxi", INPUTS, per_second=100, seconds=0) as sent,
    ):
        found = sent.wait()

    assert (found.requests, found.failed, found.failures) == (0, 0, {})


def test_a_load_for_a_time() -> None:
    with (
        model_servers.serve() as server,
        load.sent_to(server.address, "taxi", INPUTS, per_second=50, seconds=2) as sent,
    ):
        found = sent.wait()

    assert found.codes == {"OK": 100}
    assert 0 < found.p50_seconds <= found.p99_seconds <= found.seconds
    # With the one before the load.
    assert server.calls("Predict") == 101


def test_a_load_until_it_is_stopped() -> None:
    with model_servers.serve() as server, load.sent_to(server.address, "taxi", INPUTS, per_second=50) as sent:
        server.answers["Predict"] = model_servers.fail_times(3, grpc.StatusCode.INTERNAL, server.Predict)
        assert until(lambda: server.calls("Predict") > 10)
        found = sent.stop()

    assert found.codes == {"OK": found.requests - 3, "INTERNAL": 3}
    assert found.failed == 3
    [(message, number)] = found.failures.items()
    assert "injected failure" in message  # contract: model_servers.fail_times
    assert number == 3
