"""Copies to a URL, and errors of storages as one line."""

import fsspec
import pytest

from mtssl_tf.data import remote


def test_a_folder_is_copied_with_its_key_file_last(tmp_path):
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run" / "deep" / "zz").write_bytes(b"z")
    url = f"memory://{tmp_path.name}/copy"
    remote.upload(tmp_path / "run", url, "config.json")
    system = fsspec.filesystem("memory")
    created = {
        name: system.created(f"/{tmp_path.name}/copy/{name}")
        for name in remote.find(url)
    }
    assert max(created, key=created.get) == "config.json"
    assert remote.read(f"{url}/deep/zz") == b"z"
    assert remote.exists(url) and not remote.exists(f"{url}/none")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ImportError("Install s3fs to access S3"), ValueError, "Install s3fs"),
        (RuntimeError("no credentials\nat all"), OSError, "is logged in"),
        (FileNotFoundError("x"), FileNotFoundError, "nothing is there"),
    ],
)
def test_a_storages_error_is_one_line_with_the_url(error, kind, said):
    with pytest.raises(kind, match=said) as raised, remote._named("s3://b/c"):
        raise error
    assert str(raised.value).startswith("s3://b/c")
    assert "\n" not in str(raised.value)
