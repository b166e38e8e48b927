"""Tests for what is said of the machine."""

from mtssl_tf.training import devices


def test_a_gpu_that_is_there_in_vain_is_said(monkeypatch, tmp_path):
    driver = tmp_path / "nvidia"
    monkeypatch.setattr(
        devices.tf.config, "list_physical_devices", lambda kind: []
    )
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.unused_gpu(driver) == ""
    driver.mkdir()
    assert "tensorflow[and-cuda]" in devices.unused_gpu(driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.unused_gpu(driver) == ""
    assert "no GPU" in devices.describe()
