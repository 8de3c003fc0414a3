"""Refusals. Each carries the public code and a message that names the thing at fault."""

from typing import Any, ClassVar


class DomainError(Exception):
    """A command was refused; nothing was changed.

    `code` is one of the public error codes; `extras` stand beside it in an answer.
    """

    code: ClassVar[str]

    def __init__(self, message: str, **extras: Any) -> None:
        super().__init__(message)
        self.message = message
        self.extras = extras


class BadRequest(DomainError):
    """The request cannot be carried out as it stands."""

    code = "bad_request"


class Unauthorized(DomainError):
    """No key, or one that is not known."""

    code = "unauthorized"


class Forbidden(DomainError):
    """The key is known, its scope does not reach."""

    code = "forbidden"


class NotFound(DomainError):
    """There is no such thing."""

    code = "not_found"


class Conflict(DomainError):
    """The thing is in a state, or was changed meanwhile, so that the request no longer fits."""

    code = "conflict"


class TooLarge(DomainError):
    """A size limit was passed."""

    code = "too_large"


class RateLimited(DomainError):
    """Too many requests in too little time."""

    code = "rate_limited"


class Unavailable(DomainError):
    """The service is not ready, is shutting down, or is full; try again later."""

    code = "unavailable"
