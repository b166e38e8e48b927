"""Fault of kind: an error that is right, but late and by the wrong name.

Ray says of a wrong token and of nobody there the same, after 40 seconds.
"""

from concurrent import futures
import time

import grpc
import pytest

from mtssl_tf.distribute import knock


@pytest.fixture
def build_head():
    """Starts what answers as a head does, for one token or for everybody."""
    servers = []

    def build(token):
        seen = []

        def answer(request, context):
            headers = dict(context.invocation_metadata())
            seen.append(headers.get("authorization", ""))
            if token and seen[-1] != f"Bearer {token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "no")
            return b""

        service, method = knock._METHOD[1:].split("/")
        server = grpc.server(futures.ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    service,
                    {method: grpc.unary_unary_rpc_method_handler(answer)},
                )
            ]
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}", seen

    yield build
    for server in servers:
        server.stop(0)


@pytest.fixture(autouse=True)
def own_token(monkeypatch, tmp_path):
    (tmp_path / "token").write_text("ours\n")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_USE_TLS", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))


def test_a_head_that_takes_our_token_is_joined(build_head):
    address, seen = build_head("ours")
    assert knock.asks_for_token(address)
    assert seen == ["", "Bearer ours"]


def test_an_open_head_is_never_sent_a_token(build_head):
    address, seen = build_head("")
    assert not knock.asks_for_token(address)
    assert seen == [""]


@pytest.mark.parametrize(
    "ours, message",
    [("ours", "another token than ours"), (None, "nobody without token")],
)
def test_a_wrong_token_is_named_at_once(
    build_head, monkeypatch, tmp_path, ours, message
):
    address, _ = build_head("theirs")
    if ours is None:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    start = time.monotonic()
    with pytest.raises(ValueError, match=f"{address}.*{message}"):
        knock.asks_for_token(address)
    assert time.monotonic() - start < 3.0


def test_nobody_there_is_named_at_once():
    start = time.monotonic()
    with pytest.raises(ValueError, match="127.0.0.1:1: no Ray answers"):
        knock.asks_for_token("127.0.0.1:1")
    assert time.monotonic() - start < 3.0


def test_an_address_is_taken_as_it_is():
    assert knock.find_address("head:6379") == "head:6379"


def test_tls_without_its_certificates_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_USE_TLS", "1")
    monkeypatch.delenv("RAY_TLS_CA_CERT", raising=False)
    with pytest.raises(ValueError, match="RAY_TLS_CA_CERT='' is no file"):
        knock.asks_for_token("127.0.0.1:1")
    monkeypatch.setenv("RAY_TLS_CA_CERT", str(tmp_path))
    with pytest.raises(ValueError, match="RAY_TLS_CA_CERT=.*directory"):
        knock.asks_for_token("127.0.0.1:1")
