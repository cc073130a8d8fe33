"""Turning pages: bounded, guarded against loops; a list that cannot be read whole is an error (E21, L5)."""

from perpsctl.domain.errors import VenueSpokeStrangely

__all__ = ["Pages"]

PAGES_MAX = 400
EMPTY_MAX = 3  # pages without a row that promise more


class Pages:
    """Where in a paged list we are. Cursors are opaque."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: set[str] = set()
        self._empty = 0
        self._cursor: str | None = None
        self.count = 0

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """What to add to the question for the page at hand."""
        return () if self._cursor is None else (("cursor", self._cursor),)

    def turn(self, cursor: str | None, *, rows: int) -> bool:
        """True when there is another page. VenueSpokeStrangely when the list will never end."""
        self.count += 1
        if cursor is None:
            return False
        self._empty = 0 if rows else self._empty + 1
        if cursor in self._seen:
            raise self._incomplete("its pages go in a circle")
        if self._empty >= EMPTY_MAX:
            raise self._incomplete("its pages are empty and promise more")
        if self.count >= PAGES_MAX:
            raise self._incomplete(f"more than {PAGES_MAX} pages")
        self._seen.add(cursor)
        self._cursor = cursor
        return True

    def _incomplete(self, why: str) -> VenueSpokeStrangely:
        return VenueSpokeStrangely(f"the list of {self._what} is incomplete: {why}")
