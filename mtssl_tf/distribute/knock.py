"""Asks a running Ray whom it lets in, before it is joined.

Ray itself takes 40 s and more to say that nobody answers or that a token is
wrong, and says the same of both. One plain call tells them apart at once. It
goes without a token first: who lets that in is not sent one.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import grpc

from mtssl_tf.distribute import options as options_lib

_METHOD = "/ray.rpc.NodeInfoGcsService/GetClusterId"
_TIMEOUT_S = 5.0  # ours
_DEFAULT_TOKEN = "~/.ray/auth_token"  # Ray's
_FIND = """
from ray._private import services
print(services.canonicalize_bootstrap_address("auto"))
"""


def find_address(address: str) -> str:
    """Returns HOST:PORT of the head that `--cluster` names.

    Raises:
        ValueError: it is to be found here, and there is none.
    """
    if address != options_lib.AUTO:
        return address
    # In another process: Ray reads the way it authenticates at import.
    found = subprocess.run(
        [sys.executable, "-c", _FIND], capture_output=True, text=True
    )
    if found.returncode:
        raise ValueError(
            "--cluster=auto: no Ray runs on this host. Start one with `ray "
            "start`, name its head by HOST:PORT, or use --cluster=local."
        )
    return found.stdout.split()[-1]


def asks_for_token(address: str) -> bool:
    """Returns whether a Ray asks for a token; ours is then one it takes.

    Args:
        address: HOST:PORT of its head.

    Raises:
        ValueError: no Ray answers there, or our token is not its own.
    """
    answer = _call(address, "")
    if answer == grpc.StatusCode.OK:
        return False
    if answer == grpc.StatusCode.UNAUTHENTICATED:
        token = _read_token()
        if token and _call(address, token) == grpc.StatusCode.OK:
            return True
        raise ValueError(
            f"--cluster={address}: Ray takes "
            f"{'another token than ours' if token else 'nobody without token'}"
            ". Name a file with the cluster's by RAY_AUTH_TOKEN_PATH."
        )
    raise ValueError(
        f"--cluster={address}: no Ray answers there ({answer.name}). Start "
        "one with `ray start --head`, or use --cluster=local. One with TLS "
        "needs RAY_USE_TLS=1 and certificates here too."
    )


def _call(address: str, token: str) -> grpc.StatusCode:
    headers = [("authorization", f"Bearer {token}")] if token else None
    with _open_channel(address) as channel:
        try:
            channel.unary_unary(_METHOD)(
                b"", timeout=_TIMEOUT_S, metadata=headers
            )
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def _open_channel(address: str) -> grpc.Channel:
    # As Ray: straight there, whatever proxy this host has for the web.
    arguments = [("grpc.enable_http_proxy", 0)]
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return grpc.insecure_channel(address, arguments)
    authority, key, certificate = (
        _read_certificate(f"RAY_TLS_{name}")
        for name in ("CA_CERT", "SERVER_KEY", "SERVER_CERT")
    )
    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(authority, key, certificate),
        arguments,
    )


def _read_certificate(variable: str) -> bytes:
    path = os.environ.get(variable, "")
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"RAY_USE_TLS is on, and {variable}={path!r} is no file that can "
            f"be read ({error.strerror}). Name the certificates that the "
            "cluster was started with, or leave RAY_USE_TLS out."
        ) from error


def _read_token() -> str:
    """Returns the token that Ray would send, or ''."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return os.environ["RAY_AUTH_TOKEN"].strip()
    path = os.environ.get("RAY_AUTH_TOKEN_PATH") or _DEFAULT_TOKEN
    try:
        return pathlib.Path(os.path.expanduser(path)).read_text().strip()
    except FileNotFoundError:
        return ""
