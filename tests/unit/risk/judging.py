"""Shorthand for tests of the rules: judge one order in one view and look at the reasons."""

from perpsctl.domain.accounts import RiskView
from perpsctl.domain.orders import OrderIntent, QuantizedEdit
from perpsctl.domain.verdicts import Approved, ApprovedChange, Denial, DenialCode, Denied
from perpsctl.risk.judge import evaluate, evaluate_edit
from perpsctl.risk.limits import RiskLimits
from tests.builders import a_quantized, a_view, an_intent


def verdict(
    intent: OrderIntent | None = None, view: RiskView | None = None, limits: RiskLimits | None = None
) -> Approved | Denied:
    view = view or a_view()
    intent = intent or an_intent(product_id=view.product.product_id)
    return evaluate(a_quantized(intent, product=view.product), view, limits or RiskLimits())


def reasons(
    intent: OrderIntent | None = None, view: RiskView | None = None, limits: RiskLimits | None = None
) -> dict[DenialCode, Denial]:
    """Every reason by its code; empty when approved."""
    return _by_code(verdict(intent, view, limits))


def edit_reasons(
    edit: QuantizedEdit, view: RiskView | None = None, limits: RiskLimits | None = None
) -> dict[DenialCode, Denial]:
    return _by_code(evaluate_edit(edit, view or a_view(), limits or RiskLimits()))


def _by_code(answer: Approved | ApprovedChange | Denied) -> dict[DenialCode, Denial]:
    if not isinstance(answer, Denied):
        return {}
    by_code = {each.code: each for each in answer.denials}
    assert len(by_code) == len(answer.denials), "a code spoke twice"
    return by_code


def numbers(found: dict[DenialCode, Denial], code: DenialCode) -> tuple[str, str]:
    """Observed and limit of the one reason expected; fails when another rule spoke besides."""
    assert set(found) == {code}, found
    return found[code].observed, found[code].limit
