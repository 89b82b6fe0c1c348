"""The one refusal that Schemathesis can't foresee from the OpenAPI document.

Schemathesis imports this module by its name, before it generates requests.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData

if TYPE_CHECKING:
    from schemathesis import Case, HookContext, Response
    from schemathesis.core.failures import Failure


@schemathesis.hook
def filter_failure(
    context: HookContext, failure: Failure, case: Case[Any], response: Response
) -> bool:
    """Accept that a period is refused until it has begun: no schema can express an instant."""
    del context, case
    is_refused = response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    is_early = is_refused and response.json()["type"] == "/schema#period-has-not-begun"
    return not (isinstance(failure, RejectedPositiveData) and is_early)
