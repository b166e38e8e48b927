"""What a user's path to a checkpoint may be, and what it must not hold."""

import gzip
import io
import os
import tarfile

import numpy as np
import pytest
import slim_files

from mtssl_tf.slim import checkpoint


@pytest.fixture
def arrays():
    return dict(slim_files.tiny_arrays())


@pytest.fixture
def trunk():
    return slim_files.filled_trunk()


class TestPaths:
    def _check(self, trunk, path, arrays):
        report = checkpoint.load(trunk, str(path))
        assert len(report.matched) == len(trunk.weights)
        kernel = trunk.get_layer("block2_unit_1_conv2").kernel
        np.testing.assert_array_equal(kernel, arrays[slim_files.KERNEL])

    @pytest.mark.parametrize("version", ["V1", "V2"])
    @pytest.mark.parametrize("as_archive", [False, True])
    def test_versions(self, tmp_path, trunk, arrays, version, as_archive):
        path = slim_files.write_checkpoint(
            tmp_path / "a" / "model.ckpt", arrays, version
        )
        if as_archive:
            os.remove(tmp_path / "a" / "checkpoint")
            path = tmp_path / "model_release.tar.gz"
            with tarfile.open(path, "w:gz") as archive:
                archive.add(tmp_path / "a", "release")
        self._check(trunk, path, arrays)

    def test_index_file_as_a_shell_completes_it(self, tmp_path, trunk, arrays):
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        self._check(trunk, f"{path}.index", arrays)

    def test_directory_takes_the_newest(self, tmp_path, trunk, arrays):
        old = {name: array + 1 for name, array in arrays.items()}
        slim_files.write_checkpoint(tmp_path / "model.ckpt-9", old)
        slim_files.write_checkpoint(tmp_path / "model.ckpt-10", arrays)
        self._check(trunk, tmp_path, arrays)

    @pytest.mark.parametrize("version", ["V1", "V2"])
    def test_brackets_are_no_pattern(self, tmp_path, trunk, arrays, version):
        plain = tmp_path / "plain"
        slim_files.write_checkpoint(plain / "model.ckpt", arrays, version)
        folder = plain.rename(tmp_path / "exp[1]*")
        checkpoint.load(trunk, str(folder))
        for file in folder.glob("model.ckpt*"):
            file.rename(folder / file.name.replace("model", "model[2]"))
        checkpoint.load(trunk, str(folder / "model[2].ckpt"))

    def test_a_folder_of_any_bytes(self, tmp_path, trunk, arrays):
        plain = tmp_path / "plain"
        slim_files.write_checkpoint(plain / "model.ckpt", arrays)
        folder = plain.rename(tmp_path / os.fsdecode(b"exp\xff"))
        checkpoint.load(trunk, folder)

    def test_directory_that_was_moved(self, tmp_path, trunk, arrays):
        slim_files.write_checkpoint(tmp_path / "model.ckpt-10", arrays)
        (tmp_path / "checkpoint").write_text(
            'model_checkpoint_path: "/home/someone/run/model.ckpt-10"\n'
        )
        self._check(trunk, tmp_path, arrays)

    def test_directory_without_a_state_file(self, tmp_path, trunk, arrays):
        slim_files.write_checkpoint(tmp_path / "a.ckpt", arrays)
        os.remove(tmp_path / "checkpoint")
        self._check(trunk, tmp_path, arrays)
        slim_files.write_checkpoint(tmp_path / "b.ckpt", arrays)
        os.remove(tmp_path / "checkpoint")
        with pytest.raises(FileNotFoundError, match="a.ckpt.*b.ckpt"):
            checkpoint.load(trunk, str(tmp_path))

    def test_archive_made_on_macos(self, tmp_path, trunk, arrays):
        slim_files.write_checkpoint(tmp_path / "a" / "model.ckpt", arrays)
        (tmp_path / "a" / "checkpoint").unlink()
        (tmp_path / "a" / "._model.ckpt.index").write_bytes(b"AppleDouble")
        path = tmp_path / "a.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a", "a")
        checkpoint.load(trunk, str(path))

    def test_state_file_that_names_another(self, tmp_path, trunk, arrays):
        slim_files.write_checkpoint(tmp_path / "a.ckpt", arrays)
        (tmp_path / "checkpoint").write_text('model_checkpoint_path: "b"\n')
        with pytest.raises(FileNotFoundError, match="'b'"):
            checkpoint.load(trunk, str(tmp_path))

    def test_nothing_there(self, tmp_path, trunk):
        with pytest.raises(FileNotFoundError, match="gone.ckpt"):
            checkpoint.load(trunk, str(tmp_path / "gone.ckpt"))
        with pytest.raises(FileNotFoundError, match="found none"):
            checkpoint.load(trunk, str(tmp_path))


class TestArchives:
    def _refused(self, trunk, path, match):
        with pytest.raises(ValueError, match=match):
            checkpoint.load(trunk, str(path))
        slim_files.assert_untouched(trunk)

    @pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
    def test_member_outside(self, tmp_path, trunk, name):
        path = tmp_path / "in" / "bad.tar.gz"
        path.parent.mkdir()
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        self._refused(trunk, path, f"{name}' lies outside")
        assert [p.name for p in tmp_path.rglob("*")] == ["in", "bad.tar.gz"]

    @pytest.mark.parametrize(
        "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE]
    )
    def test_link_or_device(self, tmp_path, trunk, kind):
        path = tmp_path / "bad.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo("model.ckpt.index")
            member.type = kind
            member.linkname = "/etc/passwd"
            archive.addfile(member)
        self._refused(trunk, path, "'model.ckpt.index' is a link or a device")

    def test_bomb(self, tmp_path, trunk, monkeypatch, arrays):
        slim_files.write_checkpoint(tmp_path / "a" / "model.ckpt", arrays)
        path = tmp_path / "big.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a", "a")
        monkeypatch.setattr("mtssl_tf.slim.archive._MAX_UNPACKED_BYTES", 1000)
        self._refused(trunk, path, "at most 1000")

    @pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
    def test_a_header_that_claims_to_be_huge(self, tmp_path, trunk, kind):
        """Names of any length are read at one go, before any check."""
        member = tarfile.TarInfo("names")
        member.type = kind
        member.size = 3 * 2**29
        path = tmp_path / "bomb.tar.gz"
        with gzip.open(path, "wb", 1) as file:
            file.write(member.tobuf(tarfile.USTAR_FORMAT))
            file.write(bytes(2**21))
        self._refused(trunk, path, "bomb.tar.gz.*a header claims 1610612736")

    def test_members_without_end(self, tmp_path, trunk):
        header = tarfile.TarInfo("a").tobuf()
        path = tmp_path / "many.tar.gz"
        with gzip.open(path, "wb", 1) as file:
            file.write(header * 20_000)
        self._refused(trunk, path, "many.tar.gz.*over 10000 members")

    def test_another_compression_is_not_read(self, tmp_path, trunk):
        path = tmp_path / "other.tar.gz"
        with tarfile.open(path, "w:xz") as archive:
            archive.addfile(tarfile.TarInfo("a"))
        self._refused(trunk, path, "other.tar.gz")

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
    def test_truncated(self, tmp_path, trunk, arrays, share):
        slim_files.write_checkpoint(tmp_path / "a" / "model.ckpt", arrays)
        path = tmp_path / "cut.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a", "a")
        os.truncate(path, int(path.stat().st_size * share))
        self._refused(trunk, path, "cut.tar.gz.*damaged or cut short")

    @pytest.mark.parametrize(
        "name, headers",
        [
            ("a", {"GNU.sparse.map": "x,y"}),
            ("a", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
            ("a" * 300, {}),
            ("b/c", {}),
        ],
    )
    def test_a_member_that_cannot_be_unpacked(
        self, tmp_path, trunk, name, headers
    ):
        path = tmp_path / "odd.tar.gz"
        with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            archive.addfile(tarfile.TarInfo("b"))  # a file, no folder
            member = tarfile.TarInfo(name)
            member.pax_headers = headers
            member.size = 4
            archive.addfile(member, io.BytesIO(b"text"))
        self._refused(trunk, path, "odd.tar.gz.*damaged")

    def test_not_an_archive(self, tmp_path, trunk):
        path = tmp_path / "page.tar.gz"
        path.write_text("<html>404</html>")
        self._refused(trunk, path, "page.tar.gz")

    def test_without_a_checkpoint(self, tmp_path, trunk):
        (tmp_path / "README").write_text("no weights")
        path = tmp_path / "empty.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "README", "README")
        with pytest.raises(FileNotFoundError, match="found none"):
            checkpoint.load(trunk, str(path))
