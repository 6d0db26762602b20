"""Files that are written whole or not at all, on a disk that is full."""

from pathlib import Path

import pytest

from slmmux.whole_files import see_that_it_can_be_written, write_whole


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")
    write_whole(link, b"one")
    write_whole(link, b"two")
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_a_full_device_is_named_with_what_to_do() -> None:
    with pytest.raises(OSError, match="make room and try again, or name") as failed:
        write_whole(Path("/dev/full"), b"x")
    assert failed.value.filename == "/dev/full"


def test_looking_whether_a_file_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("before")
    for name in ("there", "new"):
        see_that_it_can_be_written(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "before"
    with pytest.raises(OSError, match="make its folder first"):
        see_that_it_can_be_written(tmp_path / "no" / "file")
    with pytest.raises(IsADirectoryError):
        see_that_it_can_be_written(tmp_path)
