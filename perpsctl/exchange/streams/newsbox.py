"""What happened since the last look, in order and bounded: market news one a product, order news all of it.

If nobody looks for so long that order news finds no room, it is told as OVERFLOW: reconcile, as after any loss (W10).
"""

from datetime import datetime

from perpsctl.domain.ids import ProductId
from perpsctl.domain.streams import News, NewsKind, StreamPart

__all__ = ["NewsBox"]

NEWS_MAX = 10_000


class NewsBox:
    """Filled and emptied by the thread that decides."""

    def __init__(self, most: int = NEWS_MAX) -> None:
        self._most = most
        self._news: list[News] = []
        self._moved: dict[ProductId, News] = {}

    def add(self, news: News) -> None:
        """Kept in order; everything but OVERFLOW gives way to it when there is no room."""
        if len(self._news) >= self._most:
            self._news = [
                News(
                    kind=NewsKind.OVERFLOW,
                    at=news.at,
                    part=StreamPart.ORDERS,
                    detail="nobody took the news for too long",
                )
            ]
        self._news.append(news)

    def moved(self, product_id: ProductId, part: StreamPart, at: datetime) -> None:
        """Something of this product's market moved: told once, with the first moment."""
        if product_id not in self._moved:
            self._moved[product_id] = News(kind=NewsKind.MARKET, at=at, part=part, product_id=product_id)

    def __bool__(self) -> bool:
        return bool(self._news or self._moved)

    def take(self) -> tuple[News, ...]:
        """All of it, and gone from here: what concerns orders first."""
        taken = (*self._news, *self._moved.values())
        self._news, self._moved = [], {}
        return taken
