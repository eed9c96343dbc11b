"""The trail of a file's writes, kept in its metadata, so that a process recognises its own write.

A write may take effect while its answer is lost, and another process may replace it before it is tried again. So each
write adds its id to the trail: `<id> <earlier id>@<its version> …`, newest first.
"""

_SEPARATOR = " "
# Writes in a trail. S3 takes 2 KB of metadata.
_LENGTH = 32


def extend(write: str, before: str | None, version: str | None) -> str:
    """Return the trail of a new write.

    Args:
        write: Id of the new write.
        before: Trail of the version that it replaces; None if it has none.
        version: Token of the version that it replaces; None for a new file.
    """
    newest, *earlier = (before or "").split(_SEPARATOR)
    replaced = [f"{newest}@{version}"] if newest and version else []
    return _SEPARATOR.join([write, *replaced, *earlier][:_LENGTH])


def find(write: str, trail: str | None, version: str) -> str | None:
    """Return the version that a write made, or None if the write is not in the trail.

    Args:
        write: Id of the write.
        trail: Trail of the current version.
        version: Token of the current version.
    """
    newest, *earlier = (trail or "").split(_SEPARATOR)
    if newest == write:
        return version
    return next((entry.partition("@")[2] for entry in earlier if entry.partition("@")[0] == write), None)
