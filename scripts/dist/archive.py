"""Archives that are the same bytes whoever makes them, and whenever."""

import io
import tarfile

import zopfli.gzip

FILE = 0o644
PROGRAM = 0o755


def tar(files: dict[str, bytes], epoch: int, mode: int = FILE) -> bytes:
    """Of files that nobody in particular owns, in the order of their names. `epoch` is as SOURCE_DATE_EPOCH."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = mode
            entry.mtime = epoch
            archive.addfile(entry, io.BytesIO(content))
    return result.getvalue()


def gzip(content: bytes) -> bytes:
    """Of one implementation, so that it gives the same bytes everywhere, which zlib's many versions do not."""
    return zopfli.gzip.compress(content)
