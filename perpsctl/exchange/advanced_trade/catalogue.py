"""What can be traded, as last read, and the contract sizes that everything else is read with.

Sizes on the wire are contracts; nothing may be read with a guessed contract size. A product that is no future is
remembered as such, so that its orders are kept apart.
"""

from collections.abc import Mapping

from perpsctl.domain.errors import VenueRefusedRequest, VenueSpokeStrangely
from perpsctl.domain.ids import ProductId
from perpsctl.domain.numbers import Size
from perpsctl.domain.products import Product, refuse_retired
from perpsctl.domain.text import shown
from perpsctl.exchange.advanced_trade.link import Ask, Link, in_path, strangeness
from perpsctl.exchange.endings import Got
from perpsctl.exchange.pages import Pages
from perpsctl.wire.advanced_trade import convert_market, market, reading

__all__ = ["Catalogue"]


class Catalogue:
    """Products by id. Every read of a product renews what is remembered of it (M5)."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._products: dict[ProductId, Product] = {}
        self._sizes: dict[ProductId, Size] = {}
        self._no_futures: set[ProductId] = set()

    def products(self) -> tuple[Product, ...]:
        """Every perpetual the venue offers, discovered by structure, to the last page."""
        found: dict[ProductId, Product] = {}
        pages = Pages("products")
        while True:
            reply = self._page((("product_type", "FUTURE"), *pages.query))
            with strangeness("the list of products"):
                self._sizes.update(convert_market.contract_sizes_from(reply.body))
                for product in convert_market.perps_from(reply.body, reply.answer.asked):
                    if product.product_id in found:
                        raise VenueSpokeStrangely(f"product {shown(product.product_id, 80)} is listed twice")
                    found[product.product_id] = product
            if not pages.turn(_next_page(reply.body), rows=len(reply.body.products or ())):
                break
        self._products.update(found)
        return tuple(found.values())

    def product(self, product_id: ProductId) -> Product:
        """One perpetual, read now. UsageError names the successor of a retired id."""
        refuse_retired(product_id)
        reply = self._body(product_id)
        with strangeness(f"product {shown(product_id, 80)}"):
            if reply.body.product_id != product_id:
                raise VenueSpokeStrangely("the venue answered with another product than was asked for")
            product = convert_market.product_from(reply.body, reply.answer.asked)
        self._learn(product_id, reply.body)
        self._products[product_id] = product
        return product

    def known(self, product_id: ProductId) -> Product:
        """The product as last read, read now when it never was: for what does not change, such as the contract size."""
        return self._products.get(product_id) or self.product(product_id)

    @property
    def sizes(self) -> Mapping[ProductId, Size]:
        """Coin per contract of every future met so far."""
        return self._sizes

    def sizes_with(self, product_id: ProductId) -> dict[ProductId, Size] | None:
        """Contract sizes that include this product's; None when it is no future. Asks the venue about a new one."""
        if product_id not in self._sizes and product_id not in self._no_futures:
            self._learn(product_id, self._any_body(product_id))
        return self._sizes if product_id in self._sizes else None

    def _learn(self, product_id: ProductId, body: market.ProductBody) -> None:
        if body.product_type == "FUTURE":
            with strangeness(f"product {shown(product_id, 80)}"):
                self._sizes[product_id] = convert_market.contract_size_from(body)
        elif reading.text(body.product_type):
            self._no_futures.add(product_id)
        else:
            raise VenueSpokeStrangely(f"product {shown(product_id, 80)} does not say what kind of product it is")

    def _any_body(self, product_id: ProductId) -> market.ProductBody:
        """A product the orders name: it may be hidden or expired by now, so the full list is asked when the id is not."""
        try:
            body = self._body(product_id).body
        except VenueRefusedRequest:
            wide = (("get_all_products", "true"), ("expiring_contract_status", "STATUS_ALL"))
            listed = self._page((("product_ids", product_id), *wide)).body.products or ()
            body = next((each for each in listed if each.product_id == product_id), market.ProductBody())
        if body.product_id != product_id:
            raise VenueSpokeStrangely(f"the venue does not know product {shown(product_id, 80)}, which its orders name")
        return body

    def _body(self, product_id: ProductId) -> Got[market.ProductBody]:
        path = f"/products/{in_path(product_id)}"
        return self._link.read(
            Ask(path=path, public_path=f"/market{path}", query=self._tradability()), market.ProductBody
        )

    def _page(self, query: tuple[tuple[str, str], ...]) -> Got[market.ProductsReply]:
        ask = Ask(path="/products", public_path="/market/products", query=(*query, *self._tradability()))
        return self._link.read(ask, market.ProductsReply)

    def _tradability(self) -> tuple[tuple[str, str], ...]:
        """`view_only` is told to signed requests only (reference section 4.2)."""
        return (("get_tradability_status", "true"),) if self._link.has_key else ()


def _next_page(reply: market.ProductsReply) -> str | None:
    pagination = reply.pagination
    if not isinstance(pagination, market.Pagination) or pagination.has_next is not True:
        return None
    with strangeness("the list of products"):
        return reading.required(pagination.next_cursor, "next_cursor")
