"""Files that are written whole or not at all: what stood there before survives a full disk."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, content: bytes) -> None:
    """The file with this content, at once or not at all; a link stays a link.

    Raises:
        OSError: it cannot be written; it names the file and says what to do. What stood there
            before still does.
    """
    with _told(path):
        if path.exists() and not path.is_file():  # a pipe or device: it has no content to lose
            path.write_bytes(content)
            return
        with scratch_beside(path) as scratch:
            scratch.write_bytes(content)
            scratch.replace(path.resolve())


def see_that_it_can_be_written(path: Path) -> None:
    """Fail before the work, not after it.

    Raises:
        OSError: the folder is not there or cannot be written, or the name is a folder's.
    """
    with _told(path):
        if path.exists():
            with path.open("ab"):
                pass
        if not path.exists() or path.is_file():
            with scratch_beside(path) as scratch:
                scratch.touch()


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A name in the folder of the file itself; what is left under it in the end is removed."""
    place = path.resolve()
    scratch = place.with_name(f".{place.name}.tmp")
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def disk_words(error: OSError) -> str:
    """What an operating system's error on writing means."""
    if error.errno in _FULL:
        return "the disk is full or a size limit is reached; make room and try again"
    return error.strerror or str(error)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Errors name the file that was to be written, and say what to do."""
    try:
        yield
    except OSError as error:
        what = disk_words(error)
        if error.errno in _FULL:
            what += ", or name a file on another disk; what stood there before is as it was"
        elif error.errno == errno.ENOENT:
            what += "; make its folder first, or name another file"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what += "; name a file in a folder that can be written"
        raise OSError(error.errno, what, str(path)) from error
