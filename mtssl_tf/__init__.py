"""Multi-task self-supervised visual learning on Keras 3 and TensorFlow."""
