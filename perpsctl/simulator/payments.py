"""How a payment of funding is carried out: as it is due, or as an armed fault E19 has it.

What accrued, and what rows tell of it, stays true: only the payment itself goes wrong, as at an exchange whose books do not
agree with its cash.
"""

from dataclasses import dataclass
from decimal import Decimal

from perpsctl.simulator.faults import Faults

OPERATION = "settle_funding"
FAULT = "E19"
_TIMES = {"twice": Decimal(2), "missed": Decimal(0), "wrong_sign": Decimal(-1), "hourly": Decimal(8)}
WRONG_TIME = "wrong_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What is paid now for each unit that is due, and in how many seconds the rest; None: there is no rest."""

    share: Decimal = Decimal(1)
    late_s: int | None = None


def payment(faults: Faults | None) -> Payment:
    """How this settlement pays. Raises ValueError for a kind the fault does not know."""
    struck = None if faults is None else faults.exchange_fault(FAULT, OPERATION)
    if struck is None:
        return Payment()
    how = str(struck["how"])
    if how == WRONG_TIME:
        return Payment(share=Decimal(0), late_s=int(struck["seconds"]))
    if how not in _TIMES:
        raise ValueError(f"funding goes wrong as {', '.join([*_TIMES, WRONG_TIME])}, not as {how}")
    return Payment(share=_TIMES[how])
