"""Parameters of the methods, as both sides read them (reference 8, 11, 12). Required ones are demanded by who needs them."""

from msgspec import UNSET, UnsetType

from perpsctl.wire.global_derivatives.common import Body, Flag, Num, OrderPrice, Text, Whole


class NoParams(Body, frozen=True, kw_only=True):
    """A method without parameters."""


class AuthParams(Body, frozen=True, kw_only=True):
    """`public/auth`: `coinbase_cdp` with a signed token, or `coinbase_oauth2`."""

    grant_type: Text = UNSET
    token: Text = UNSET
    scope: Text = UNSET

    def __repr__(self) -> str:
        """Without the token (S1)."""
        return f"AuthParams(grant_type={self.grant_type!r})"


class LogoutParams(Body, frozen=True, kw_only=True):
    invalidate_token: Flag = UNSET


class ChannelsParams(Body, frozen=True, kw_only=True):
    """subscribe and unsubscribe, public and private."""

    channels: tuple[str, ...] | UnsetType = UNSET
    label: Text = UNSET


class HeartbeatParams(Body, frozen=True, kw_only=True):
    """`public/set_heartbeat`: seconds, 10 at least."""

    interval: Whole = UNSET


class ScopeParams(Body, frozen=True, kw_only=True):
    """Cancel on disconnect: `connection` or `account`."""

    scope: Text = UNSET


class HelloParams(Body, frozen=True, kw_only=True):
    """`public/hello` and `public/test`."""

    client_name: Text = UNSET
    client_version: Text = UNSET
    expected_result: Text = UNSET


class OtocoLeg(Body, frozen=True, kw_only=True):
    """A secondary order of a linked order."""

    amount: Num = UNSET
    direction: Text = UNSET
    type: Text = UNSET
    label: Text = UNSET
    price: Num = UNSET
    reduce_only: Flag = UNSET
    time_in_force: Text = UNSET
    post_only: Flag = UNSET
    reject_post_only: Flag = UNSET
    trigger_price: Num = UNSET
    trigger_offset: Num = UNSET
    trigger: Text = UNSET


class OrderParams(Body, frozen=True, kw_only=True):
    """`private/buy` and `private/sell`; the side is the method. `post_only` defaults to true: always send it."""

    instrument_name: Text = UNSET
    amount: Num = UNSET  # base coin
    contracts: Num = UNSET
    type: Text = UNSET
    label: Text = UNSET
    price: Num = UNSET
    time_in_force: Text = UNSET
    display_amount: Num = UNSET
    max_show: Num = UNSET
    post_only: Flag = UNSET
    reject_post_only: Flag = UNSET
    reduce_only: Flag = UNSET
    trigger_price: Num = UNSET
    trigger_offset: Num = UNSET
    trigger: Text = UNSET
    advanced: Text = UNSET
    mmp: Flag = UNSET
    valid_until: Whole = UNSET  # milliseconds of the venue's clock
    linked_order_type: Text = UNSET
    trigger_fill_condition: Text = UNSET
    otoco_config: tuple[OtocoLeg, ...] | UnsetType = UNSET
    isolated: Flag = UNSET
    allocated_margin: Num = UNSET


class EditParams(Body, frozen=True, kw_only=True):
    """`private/edit` (by `order_id`) and `private/edit_by_label`."""

    order_id: Text = UNSET
    instrument_name: Text = UNSET
    label: Text = UNSET
    amount: Num = UNSET
    contracts: Num = UNSET
    price: OrderPrice | UnsetType = UNSET
    post_only: Flag = UNSET
    reject_post_only: Flag = UNSET
    reduce_only: Flag = UNSET
    advanced: Text = UNSET
    trigger_price: Num = UNSET
    trigger_offset: Num = UNSET
    display_amount: Num = UNSET
    mmp: Flag = UNSET
    valid_until: Whole = UNSET
    isolated: Flag = UNSET
    allocated_margin: Num = UNSET


class OrderIdParams(Body, frozen=True, kw_only=True):
    """cancel, get_order_state, get_user_trades_by_order."""

    order_id: Text = UNSET
    isolated: Flag = UNSET
    sorting: Text = UNSET
    historical: Flag = UNSET
    subaccount_id: Whole = UNSET


class CancelManyParams(Body, frozen=True, kw_only=True):
    """The mass cancels; without `include_isolated` isolated orders stay open (reference 8.4)."""

    instrument_name: Text = UNSET
    currency: Text = UNSET
    currency_pair: Text = UNSET
    label: Text = UNSET
    kind: Text = UNSET
    type: Text = UNSET
    detailed: Flag = UNSET
    freeze_quotes: Flag = UNSET
    include_combos: Flag = UNSET
    include_isolated: Flag = UNSET


class ClosePositionParams(Body, frozen=True, kw_only=True):
    instrument_name: Text = UNSET
    type: Text = UNSET
    price: Num = UNSET
    isolated: Flag = UNSET


class OrdersParams(Body, frozen=True, kw_only=True):
    """Open orders, order history and states by label."""

    instrument_name: Text = UNSET
    currency: Text = UNSET
    label: Text = UNSET
    kind: Text = UNSET
    type: Text = UNSET
    count: Whole = UNSET
    offset: Whole = UNSET
    include_old: Flag = UNSET
    include_unfilled: Flag = UNSET
    with_continuation: Flag = UNSET
    continuation: Text = UNSET
    historical: Flag = UNSET
    include_isolated: Flag = UNSET
    subaccount_id: Whole = UNSET


class TradesParams(Body, frozen=True, kw_only=True):
    """Trades, ours or the tape's: by instrument or currency, by time, sequence or id."""

    instrument_name: Text = UNSET
    currency: Text = UNSET
    kind: Text = UNSET
    start_id: Text = UNSET
    end_id: Text = UNSET
    start_seq: Whole = UNSET
    end_seq: Whole = UNSET
    start_timestamp: Whole = UNSET
    end_timestamp: Whole = UNSET
    count: Whole = UNSET
    sorting: Text = UNSET
    historical: Flag = UNSET
    subaccount_id: Whole = UNSET


class MarginsParams(Body, frozen=True, kw_only=True):
    """get_margins, get_max_order_size."""

    instrument_name: Text = UNSET
    amount: Num = UNSET
    price: Num = UNSET
    leverage: Num = UNSET
    taker_fee_rate: Num = UNSET
    isolated: Flag = UNSET
    subaccount_id: Whole = UNSET


class LeverageParams(Body, frozen=True, kw_only=True):
    instrument_name: Text = UNSET
    leverage: Num = UNSET
    isolated: Flag = UNSET
    subaccount_id: Whole = UNSET


class MarginModelParams(Body, frozen=True, kw_only=True):
    margin_model: Text = UNSET
    user_id: Whole = UNSET
    dry_run: Flag = UNSET


class PositionsParams(Body, frozen=True, kw_only=True):
    instrument_name: Text = UNSET
    currency: Text = UNSET
    kind: Text = UNSET
    include_isolated: Flag = UNSET
    subaccount_id: Whole = UNSET


class SummaryParams(Body, frozen=True, kw_only=True):
    """Account summary, one currency or all."""

    currency: Text = UNSET
    extended: Flag = UNSET
    include_isolated: Flag = UNSET
    subaccount_id: Whole = UNSET


class SubaccountsParams(Body, frozen=True, kw_only=True):
    """The account and its subaccounts."""

    with_portfolio: Flag = UNSET
    include_isolated: Flag = UNSET


class LogParams(Body, frozen=True, kw_only=True):
    """Transaction log and settlement history."""

    currency: Text = UNSET
    instrument_name: Text = UNSET
    type: Text = UNSET
    query: Text = UNSET
    start_timestamp: Whole = UNSET
    end_timestamp: Whole = UNSET
    search_start_timestamp: Whole = UNSET
    count: Whole = UNSET
    continuation: int | str | UnsetType = UNSET
    subaccount_id: Whole = UNSET


class InstrumentsParams(Body, frozen=True, kw_only=True):
    """Instruments, tickers and book summaries of a currency."""

    currency: Text = UNSET
    kind: Text = UNSET
    expired: Flag = UNSET
    depth: Whole = UNSET


class InstrumentParams(Body, frozen=True, kw_only=True):
    """Everything asked about one instrument."""

    instrument_name: Text = UNSET
    depth: Whole = UNSET


class PeriodParams(Body, frozen=True, kw_only=True):
    """Chart and funding of an instrument over a period, both ends inclusive, milliseconds."""

    instrument_name: Text = UNSET
    start_timestamp: Whole = UNSET
    end_timestamp: Whole = UNSET
    resolution: Text = UNSET
    length: Text = UNSET


class IndexParams(Body, frozen=True, kw_only=True):
    index_name: Text = UNSET
