"""Serves a shard over TensorFlow's rpc: one method, a secret in each call."""

from __future__ import annotations

from collections.abc import Callable
import hmac
import json
from typing import Any

import tensorflow as tf

METHOD = "exchange"
ERROR = "error"
STRANGER = "stranger"

Handler = Callable[[dict[str, Any], tf.Tensor], tuple[dict[str, Any], Any]]


class StoreServer:
    """Listens at one address, and at no other interface.

    A message is the secret, a JSON object and a float32 vector; so is the
    answer, but for the secret. Calls come from several threads at once.
    """

    def __init__(self, address: str, secret: bytes, handle: Handler) -> None:
        """Starts to listen.

        Args:
            address: host:port.
            secret: of the run; a message with another one changes nothing.
            handle: takes request and data, returns reply and data (or None).
        """
        self._secret = secret
        self._handle = handle
        self._none = tf.zeros([0])
        server = tf.distribute.experimental.rpc.Server.create("grpc", address)
        self._method = self._build_method()  # Lives as long as the server.
        server.register(METHOD, self._method)
        server.start()
        self._server = server

    def _build_method(self) -> Any:
        @tf.function(
            input_signature=[
                tf.TensorSpec([], tf.string),
                tf.TensorSpec([], tf.string),
                tf.TensorSpec([None], tf.float32),
            ]
        )
        def exchange(secret, request, data):
            return tf.py_function(
                self._answer,
                [secret, request, data],
                [tf.string, tf.float32],
            )

        return exchange

    def _answer(
        self, secret: tf.Tensor, request: tf.Tensor, data: tf.Tensor
    ) -> tuple[str, tf.Tensor]:
        if not hmac.compare_digest(secret.numpy(), self._secret):
            return json.dumps({"status": STRANGER}), self._none
        try:
            reply, values = self._handle(json.loads(request.numpy()), data)
        except (
            ValueError,
            KeyError,
            TypeError,
            OSError,
            tf.errors.OpError,
        ) as error:
            reply, values = {"status": ERROR, "message": repr(error)}, None
        return json.dumps(reply), self._none if values is None else values
