"""TF-Slim's own ResNet v2, to compare with; built once per process.

TF-Slim 1.1.0 builds graphs of TensorFlow 1. It looks for two modules where
tf-keras no longer has them; `_import_slim` puts them there.
"""

import functools
import importlib
import sys
import zlib

import numpy as np
import tensorflow as tf
import tensorflow.compat.v1 as tf1

BN_DECAY = 0.997
UNITS = {50: (3, 4, 6), 101: (3, 4, 23)}


def _import_slim():
    for name in ("legacy_tf_layers", "legacy_tf_layers.normalization"):
        module = importlib.import_module(f"tf_keras.src.{name}")
        sys.modules.setdefault(f"tf_keras.{name}", module)
    import tf_slim
    from tf_slim.nets import resnet_v2

    return tf_slim, resnet_v2


class SlimReference:
    """A ResNet v2 in a graph and a session of its own.

    Graphs for other strides and for training are added when first asked for,
    on the same variables.

    Attributes:
        scope: of the variables.
        variables: name without the scope, such as 'conv1/weights', to
            TensorFlow 1 variable.
    """

    def __init__(self, scope, num_units):
        """Builds it for inference at output stride 32.

        Args:
            scope: of the variables.
            num_units: of blocks 1 to 3, or 1 to 4.
        """
        self.scope = scope
        self._num_units = num_units
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._image = tf1.placeholder(tf.float32, [None, None, None, 3])
            self._inference(32)
            self.variables = {
                v.op.name.removeprefix(f"{scope}/"): v
                for v in tf1.global_variables()
            }
            self._feeds = {
                name: tf1.placeholder(v.dtype, v.shape)
                for name, v in self.variables.items()
            }
            self._assigns = [
                tf1.assign(v, self._feeds[name])
                for name, v in self.variables.items()
            ]
            self._savers = {
                version: tf1.train.Saver(
                    write_version=getattr(tf1.train.SaverDef, version)
                )
                for version in ("V1", "V2")
            }
            self.session = tf1.Session(
                config=tf1.ConfigProto(
                    intra_op_parallelism_threads=2,
                    inter_op_parallelism_threads=2,
                )
            )
        self.set_weights(random_weights(self.shapes()))

    def _build(self, output_stride, is_training, is_fused=True):
        """Returns [B, h, w, C] of block 3's units and of the last layer."""
        slim, resnet_v2 = _import_slim()
        blocks = [
            resnet_v2.resnet_v2_block(
                f"block{i + 1}", 64 * 2**i, n, stride=2 if i < 3 else 1
            )
            for i, n in enumerate(self._num_units)
        ]
        with slim.arg_scope(resnet_v2.resnet_arg_scope()):
            with slim.arg_scope([slim.batch_norm], fused=is_fused):
                last, end_points = resnet_v2.resnet_v2(
                    self._image,
                    blocks,
                    is_training=is_training,
                    global_pool=False,
                    output_stride=output_stride,
                    reuse=hasattr(self, "variables"),
                    scope=self.scope,
                )
        units = {}
        for unit in range(1, self._num_units[2] + 1):
            name = f"{self.scope}/block3/unit_{unit}/bottleneck_v2"
            units[f"unit_{unit:02d}"] = end_points[name]
        return units, last

    @functools.cache
    def _inference(self, output_stride):
        with self._graph.as_default():
            return self._build(output_stride, is_training=False)

    @functools.cache
    def _training(self, output_stride, is_fused):
        with self._graph.as_default():
            before = len(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS))
            units, _ = self._build(output_stride, True, is_fused)
            updates = tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)[before:]
            return units, fixed_loss(units), updates

    @functools.cache
    def _gradients(self, output_stride, is_fused):
        _, loss, _ = self._training(output_stride, is_fused)
        trained = self._trained()
        with self._graph.as_default():
            gradients = tf.gradients(loss, list(trained.values()))
        return dict(zip(trained, gradients))

    def _trained(self):
        """Variables that block 3's outputs depend on and gradients reach."""
        return {
            name: v
            for name, v in self.variables.items()
            if "moving_" not in name
            and not name.startswith(("postnorm", "block4"))
        }

    def shapes(self):
        """Returns {name without scope: shape}."""
        return {name: tuple(v.shape) for name, v in self.variables.items()}

    def set_weights(self, weights):
        """Sets all variables, from {name without scope: array}."""
        feeds = {self._feeds[n]: weights[n] for n in self.variables}
        self.session.run(self._assigns, feeds)

    def get_weights(self):
        """Returns all variables as {name without scope: array}."""
        return self.session.run(self.variables)

    def save(self, prefix, version="V2"):
        """Writes all variables with TF-Slim's Saver."""
        with self._graph.as_default():
            self._savers[version].save(
                self.session, str(prefix), write_meta_graph=False
            )

    def restore(self, prefix, names):
        """Restores these variables with TF-Slim's Saver."""
        with self._graph.as_default():
            saver = tf1.train.Saver([self.variables[name] for name in names])
            saver.restore(self.session, str(prefix))

    def units(self, image, output_stride):
        """Returns block 3's outputs in inference."""
        units, _ = self._inference(output_stride)
        return self.session.run(units, {self._image: image})

    def last(self, image, output_stride):
        """Returns the output of `postnorm` in inference."""
        _, last = self._inference(output_stride)
        return self.session.run(last, {self._image: image})

    def train_forward(self, image, output_stride, is_fused):
        """Returns block 3's outputs; updates the moving averages once."""
        units, _, updates = self._training(output_stride, is_fused)
        feeds = {self._image: image}
        return self.session.run([units, updates], feeds)[0]

    def gradients(self, image, output_stride, is_fused):
        """Returns {name: gradient of `fixed_loss`} in training mode."""
        gradients = self._gradients(output_stride, is_fused)
        return self.session.run(gradients, {self._image: image})

    def train(self, optimizer, images, output_stride):
        """Takes a step of `fixed_loss` on each batch, plain batch norm."""
        _, loss, updates = self._training(output_stride, is_fused=False)
        with self._graph.as_default():
            step = optimizer.minimize(loss, var_list=self._trained().values())
            self.session.run(tf1.variables_initializer(optimizer.variables()))
        for image in images:
            self.session.run([step, updates], {self._image: image})


def fixed_loss(units):
    """Half the mean square of each unit's output, summed: a scalar."""
    return tf.add_n([tf.reduce_mean(x**2) / 2 for x in units.values()])


@functools.cache
def slim_resnet(depth):
    """Returns the reference of this depth through block 3."""
    return SlimReference(f"resnet_v2_{depth}", UNITS[depth])


def box_head(features):
    """Returns block 4 with stride 2 in its first unit, random weights.

    Args:
        features: float32 [B, h, w, 1024].
    """
    slim, resnet_v2 = _import_slim()
    unit = {"depth": 2048, "depth_bottleneck": 512}
    units = [{**unit, "stride": stride} for stride in (2, 1, 1)]
    blocks = [
        resnet_v2.resnet_utils.Block("block4", resnet_v2.bottleneck, units)
    ]
    with tf.Graph().as_default(), tf1.Session() as session:
        with slim.arg_scope(resnet_v2.resnet_arg_scope()):
            last, _ = resnet_v2.resnet_v2(
                tf.constant(features),
                blocks,
                is_training=False,
                global_pool=False,
                include_root_block=False,
                scope="x",
            )
        variables = {
            v.op.name.removeprefix("x/"): v for v in tf1.global_variables()
        }
        shapes = {name: tuple(v.shape) for name, v in variables.items()}
        weights = random_weights(shapes)
        session.run(
            [tf1.assign(v, weights[name]) for name, v in variables.items()]
        )
        return session.run(last)


def random_weights(shapes):
    """Returns weights and batch-norm statistics, the same on any machine.

    Args:
        shapes: {name without scope: shape}.

    Returns:
        {name: float32 array}; each name has its own random numbers.
    """
    return {name: _random_array(name, s) for name, s in shapes.items()}


def _random_array(name, shape):
    # RandomState's numbers are the same in every version of NumPy.
    random = np.random.RandomState(zlib.crc32(name.encode()))
    kind = name.split("/")[-1]
    if kind == "weights":
        # Half of He's for the last of a unit, or sums reach 1e9 at depth 101.
        scale = 0.5 if "/conv3/" in name else 1.0
        stddev = scale * np.sqrt(2 / np.prod(shape[:3]))
        array = random.normal(0, stddev, shape)
    elif kind in ("gamma", "moving_variance"):
        array = random.uniform(0.5, 1.5, shape)
    else:  # biases, beta, moving_mean
        array = random.normal(0, 0.2, shape)
    return array.astype(np.float32)


def random_image(height, width, batch=1, seed=0):
    """Returns float32 [B, H, W, 3] in the range of the VGG contract."""
    random = np.random.RandomState(seed)
    image = random.uniform(-120, 130, [batch, height, width, 3])
    return image.astype(np.float32)
