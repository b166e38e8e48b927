"""JSON that is none: every error names the file."""

import pytest

from mtssl_tf.files import json_file


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (b"", "it is empty"),
        (b"{", "Expecting"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"\xff\xfe\xff", "codec"),
        (b"9" * 10_000, "digits"),
    ],
)
def test_what_is_no_json_is_named(tmp_path, contents, said):
    path = tmp_path / "a.json"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=f"a.json is not JSON: .*{said}.*Do"):
        json_file.load(path, "Do this.")


@pytest.mark.parametrize("contents, kind", [("[]", "list"), ("null", "None")])
def test_an_object_is_asked_for_by_name(tmp_path, contents, kind):
    path = tmp_path / "run.json"
    path.write_text(contents)
    with pytest.raises(ValueError, match=f"run.json holds {kind}.*Do this"):
        json_file.load_object(path, "Do this.")


@pytest.mark.parametrize(
    "read",
    [
        lambda entries: entries["b"],
        lambda entries: int(entries["a"]),
        lambda entries: [*entries["c"]],
        lambda entries: entries["c"].items(),
        lambda entries: int(float("inf")),
    ],
)
def test_an_entry_that_is_odd_is_the_files(tmp_path, read):
    with pytest.raises(ValueError, match="a.json is damaged: .*Remove it"):
        with json_file.naming(tmp_path / "a.json", "Remove it."):
            read({"a": "x", "c": None})


def test_json_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert json_file.load(tmp_path / "a.json") == {"a": [1, None]}
