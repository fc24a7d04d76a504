"""Errors, grouped by what the caller can do about them.

Every error is a :class:`DdpmError`. Those that end a run know what is left of it: ``missing`` are the indices that have
neither arrived nor failed, ``partial`` is what has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from ddpm import _status_pb2 as status

if TYPE_CHECKING:
    from ddpm.samples import Samples

#: The last part of the type URLs of what the details of a status may hold.
_DETAILS = {
    "google.rpc.ErrorInfo": status.ErrorInfo,
    "google.rpc.BadRequest": status.BadRequest,
    "google.rpc.PreconditionFailure": status.PreconditionFailure,
    "google.rpc.QuotaFailure": status.QuotaFailure,
    "google.rpc.RetryInfo": status.RetryInfo,
}

#: What to try, by the reason of a refusal.
_HINTS = {
    "MODEL_NOT_FOUND": "client.models() lists what this server has",
    "EXPECT_MISMATCH": "draw all samples again, or pass accept_other_build=True to take those of another build",
    "GRAPH_UNAVAILABLE": "leave out graph=, or name one that client.models() lists",
    "STRICT_UNAVAILABLE": "leave out strict=True; samples may then differ in their last bits",
    "QUEUE_FULL": "come back later, or ask for fewer samples",
    "TOO_MANY_CHECKS": "come back later",
    "QUOTA_EXCEEDED": "wait for requests of yours to end, or ask for less",
    "MESSAGE_TOO_LARGE": "send fewer images, or in several requests",
    "DEADLINE_INFEASIBLE": "pass a longer timeout, or ask for fewer samples or steps",
    "DEADLINE_PASSED": "pass a longer timeout, or ask for fewer samples or steps",
    "DRAINING": "the server shuts down: ask another one, or come back later",
    "STOPPED": "the server was stopped: ask another one, or come back later",
    "CLIENT_STALLED": "read the stream faster, or ask for fewer previews",
    "RUNTIME_FAILED": "the server's log has the cause",
}


class DdpmError(Exception):
    """Why a call failed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        #: Indices of the run that have neither arrived nor failed.
        self.missing: list[int] = []
        #: What has arrived, if the run was to be collected.
        self.partial: Samples | None = None

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        return False


class RequestError(DdpmError, ValueError):
    """Change the arguments; nothing was sent."""


class Unreachable(DdpmError, ConnectionError):
    """Start a server, or name another one."""

    @property
    def is_transient(self) -> bool:
        return True


class Interrupted(DdpmError, ConnectionError):
    """The stream broke before it was complete: ask for the missing samples again."""

    @property
    def is_transient(self) -> bool:
        return True


class ProtocolError(DdpmError):
    """The server violates ddpm.v1: use the same version of client and server, or report it."""


class Damaged(DdpmError):
    """A sample's bytes are not those that the server sent: ask for it again."""


@dataclass(frozen=True)
class Violation:
    """What is wrong with a field of the request."""

    #: Its path, such as ``preview.indices``; of a quota, whose it is.
    field: str
    #: A sentence.
    description: str


class Refused(DdpmError):
    """The server refused: change the request, or come back later."""

    #: The status.
    code: grpc.StatusCode
    #: Stable, UPPER_SNAKE; empty if the server gave none.
    reason: str
    #: What is wrong, field by field; empty unless the server says so.
    violations: tuple[Violation, ...]
    #: Seconds after which to come back, if the server says so.
    retry_after: float | None

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        self.code, self.reason, self.violations = code, reason, violations
        self.retry_after = retry_after
        name = f"{code.name}, {reason}" if reason else code.name
        lines = [f"{message} ({name})"]
        lines += [f"  {one.field}: {one.description}" for one in violations if one.description not in message]
        if retry_after is not None:
            lines.append(f"  the server says to come back in {retry_after:g} s")
        if self.hint:
            lines.append(f"  try: {self.hint}")
        super().__init__("\n".join(lines))

    @property
    def field(self) -> str:
        """The first wrong field; empty if it is about none."""
        return self.violations[0].field if self.violations else ""

    @property
    def hint(self) -> str:
        """What to try; empty if the message says it all."""
        return _HINTS.get(self.reason, "")

    @property
    def is_transient(self) -> bool:
        if self.code == grpc.StatusCode.UNAVAILABLE:
            return True
        # More time or a smaller message is needed, not a later one.
        if self.code == grpc.StatusCode.DEADLINE_EXCEEDED or self.reason == "MESSAGE_TOO_LARGE":
            return False
        return self.retry_after is not None


class InvalidRequest(Refused, ValueError):
    """A field of the request is wrong; :attr:`Refused.violations` names each."""


class ModelNotFound(Refused, LookupError):
    """The server has no such model."""


class DeadlineError(Refused, TimeoutError):
    """The samples cannot be done in time, or the time is over."""


class OtherBuild(Refused):
    """Since the run began, the server was replaced by another build, whose samples may differ in their last bits."""


def from_rpc(error: Any, *, opened: bool, target: str) -> DdpmError:
    """Tells a refusal of the server from an error of the connection.

    * ``error``: a ``grpc.RpcError`` that is a call too.
    * ``opened``: whether an event of the stream has arrived.
    * ``target``: the address, for the message.
    """
    code, message = error.code(), error.details() or ""
    trailers = error.trailing_metadata() or ()
    details = next((value for key, value in trailers if key == "grpc-status-details-bin"), None)
    if details is not None:
        return _refused(code, message, details)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(code, "the time is over", "DEADLINE_PASSED")
    broken = (
        grpc.StatusCode.UNAVAILABLE,
        # A stream that was reset. Servers give details with INTERNAL, and never say the others.
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    )
    if code in broken and opened:
        return Interrupted(f"the stream broke before it was complete: {message}")
    if code in broken:
        return Unreachable(f"no server at {target} ({message})\n  try: `make demo` starts one; Client(target) names another")
    return Refused(code, message)


def _refused(code: grpc.StatusCode, message: str, details: bytes) -> Refused:
    reason, violations, retry_after = "", [], None
    for detail in status.Status.FromString(details).details:
        kind = _DETAILS.get(detail.type_url.rpartition("/")[2])
        if kind is None:
            continue
        found = kind.FromString(detail.value)
        if isinstance(found, status.ErrorInfo):
            reason = found.reason
        elif isinstance(found, status.BadRequest):
            violations += [Violation(one.field, one.description) for one in found.field_violations]
        elif isinstance(found, status.RetryInfo):
            retry_after = found.retry_delay.seconds + found.retry_delay.nanos / 1e9
        else:
            violations += [Violation(one.subject, one.description) for one in found.violations]
    kind = Refused
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        kind = InvalidRequest
    elif code == grpc.StatusCode.DEADLINE_EXCEEDED:
        kind = DeadlineError
    elif reason == "MODEL_NOT_FOUND":
        kind = ModelNotFound
    elif reason == "EXPECT_MISMATCH" and violations and violations[0].field == "expect.fingerprint":
        kind = OtherBuild
    return kind(code, message, reason, tuple(violations), retry_after)
