"""What a hub, a proxy or the network refuses, in a sentence with its remedy; and an end to all waiting."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from duckrabbit.errors import UserError
from duckrabbit.files import begun_in_time, unless_too_slow

WAIT = 20.0
"""Seconds that a hub may take to answer, or to send the next bytes."""
_OFFLINE = "the model 'miniature' needs no network"


@contextmanager
def sentences(name: str, revision: str | None, endpoint: str | None, token: str | None) -> Iterator[None]:
    """Raises UserError for whatever goes wrong while `name` is fetched; nothing is waited for without end."""
    from huggingface_hub import constants, errors, get_token

    site = (endpoint or constants.ENDPOINT).rstrip("/")
    token = token or get_token()
    if token and not (token.isascii() and token.isprintable()):
        raise UserError(
            "The token for the hub (HF_TOKEN, or that of `hf auth login`) holds letters that are in none: a token is "
            f"plain ASCII, as in hf_abc. Copy it anew from {site}/settings/tokens, or unset HF_TOKEN."
        )
    _bound_session()
    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError:
        raise UserError(
            f"{name} is given only to those who accept its licence. Log in at {site}/{name} and accept "
            f"it there; then make a read token at {site}/settings/tokens and run `hf auth login`, or put it in "
            "the environment variable HF_TOKEN."
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{name} has no revision '{revision}'; give a commit, tag or branch.") from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.HTTPError, OSError) as error:
        raise UserError(_refusal(name, site, error, token)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # what answered speaks another language
        raise UserError(_foreign(name, site, f"{type(error).__name__}: {_first_line(error)}")) from None


def _refusal(name: str, site: str, error: BaseException, token: str | None) -> str:
    """The sentence for an error: of the first answer or break in its chain of causes."""
    chain = list(_chain(error))
    answers = [answer for e in chain if (answer := getattr(e, "response", None)) is not None]
    if answers:
        return _answered(name, site, answers[0], token)
    kinds = {base.__name__ for e in chain for base in type(e).__mro__}
    reason = _first_line(chain[-1])
    if "ProxyError" in kinds:
        proxies = [
            key for key in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY") if key in os.environ or key.lower() in os.environ
        ]
        where = f"the proxy in {' or '.join(proxies)}" if proxies else "the proxy"
        return f"{name} could not be fetched from {site}: {where} refuses ({reason}). Check its address and password."
    if "TimeoutException" in kinds:
        return f"{site} did not answer within {WAIT:g} s, asked for {name}. Try again later; {_OFFLINE}."
    if kinds & {"RemoteProtocolError", "ReadError", "IncompleteRead"} or "Consistency check failed" in str(error):
        return f"The connection to {site} broke off while {name} was fetched ({reason}). Try again: what is here stays."
    if "FileMetadataError" in kinds:
        return _foreign(name, site, reason)
    return (
        f"{name} could not be fetched from {site} ({reason}). Check the network and the space on the "
        f"disk, and try again; {_OFFLINE}."
    )


def _answered(name: str, site: str, answer: Any, token: str | None) -> str:
    """The sentence for an answer of the hub that is a refusal."""
    status = int(answer.status_code)
    if status == 401 and token:
        return (
            f"{site} does not know the token that it was shown for {name} (401). Make a new read token at "
            f"{site}/settings/tokens and put it into HF_TOKEN, or run `hf auth login`; without any, unset HF_TOKEN."
        )
    if status in (401, 404):
        return (
            f"There is no model '{name}' at {site}, and no folder of that name here. Check the spelling; for "
            "a private one, run `hf auth login` or set HF_TOKEN."
        )
    if status == 403:
        return (
            f"{site} forbids {name} (403). The token may lack the right to read it: see {site}/settings/tokens; "
            "or a proxy or firewall stands between."
        )
    if status == 407:
        return f"A proxy wants a password before it lets {site} through (407); put it into HTTPS_PROXY."
    if status == 429:
        wait = answer.headers.get("Retry-After")
        when = f"in {wait} s" if wait else "in a few minutes"
        return f"{site} has had too many requests from here (429). Try again {when}, or log in: `hf auth login`."
    if status >= 500:
        return f"{site} is in trouble ({status}) and could not give {name}. Try again later; {_OFFLINE}."
    return _foreign(name, site, f"status {status}")


def _foreign(name: str, site: str, reason: str) -> str:
    return (
        f"What answers at {site}, asked for {name}, is no hub ({reason}). A network that wants a login first answers "
        f"like this: open {site} in a browser; or check HF_ENDPOINT and the proxy."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def _bound_session() -> None:
    """Give every request of the hub's client a time limit of at most WAIT, and every answer a least speed."""
    from huggingface_hub.utils import get_session

    session = get_session()
    hooks = session.event_hooks
    if _bound_answer not in hooks["response"]:
        session.event_hooks = {
            "request": [*hooks["request"], _bound_request],
            "response": [*hooks["response"], _bound_answer],
        }
        ways = [getattr(session, "_transport", None), *getattr(session, "_mounts", {}).values()]
        for way in filter(None, ways):  # direct, and by each proxy
            way.handle_request = partial(_begun, way.handle_request)


def _bound_request(request: Any) -> None:
    limits = request.extensions.get("timeout") or dict.fromkeys(("connect", "read", "write", "pool"))
    request.extensions["timeout"] = {key: min(value or WAIT, WAIT) for key, value in limits.items()}


def _begun(ask: Callable[[Any], Any], request: Any) -> Any:
    """The answer to a request, whose head has to come within a time."""
    return begun_in_time(lambda: ask(request), WAIT)


def _bound_answer(response: Any) -> None:
    base = importlib.import_module(type(response).__module__.partition(".")[0]).SyncByteStream
    if isinstance(response.stream, base):
        response.stream = _paced(base)(response.stream)


def _paced(base: type) -> type:
    """A stream of the client's own kind, whose bytes come at a pace or not at all."""

    class Paced(base):  # type: ignore[misc]
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __iter__(self) -> Iterator[bytes]:
            yield from unless_too_slow(self.inner)

        def close(self) -> None:
            self.inner.close()

    return Paced
