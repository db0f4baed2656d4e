"""The memorisation audit: which generated pictures copy training data (`dogsgan audit`).

What is listed here is imported when it is first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dogsgan.audit.auditing import audit
    from dogsgan.audit.result import Audit

__all__ = ["Audit", "audit"]


def __getattr__(name: str) -> Any:
    if name == "audit":
        from dogsgan.audit.auditing import audit

        return audit
    if name == "Audit":
        from dogsgan.audit.result import Audit

        return Audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
