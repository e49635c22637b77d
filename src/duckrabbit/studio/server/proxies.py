"""Behind a proxy: where the studio is to its visitors, and whom it believes about that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import quote

from duckrabbit.errors import UserError
from duckrabbit.studio.server.disconnects import Scope

_ROOT = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_FORWARDED = (b"forwarded", b"x-gradio-server", b"x-real-ip")


@dataclass(frozen=True)
class Front:
    """What stands before the studio: it is seen under the path `root`; `proxies` are believed."""

    root: str = ""
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()

    def original(self, scope: Scope) -> tuple[Scope, bool]:
        """A request as the visitor made it, its path counted from `root`, and whether a proxy says its host.

        What other senders say of hosts, and all that Gradio would believe of it, is left out.
        """
        said = {k.lower(): v.decode("latin-1") for k, v in scope.get("headers", [])}
        known = self._knows(scope)
        host = _last(said.get(b"x-forwarded-host", "")) if known else ""
        scheme = _last(said.get(b"x-forwarded-proto", "")) if known else ""
        host = host if _HOST.fullmatch(host) else ""
        headers = [
            (k, host.encode("latin-1") if host and k.lower() == b"host" else v)
            for k, v in scope.get("headers", [])
            if not k.lower().startswith(b"x-forwarded-") and k.lower() not in _FORWARDED
        ]
        path = scope["path"]
        if self.root and (path + "/").startswith(self.root + "/"):
            path = path[len(self.root) :]
        scheme = scheme if scheme in ("http", "https") else scope.get("scheme", "http")
        return {**scope, "headers": headers, "path": path, "scheme": scheme}, bool(host)

    def below(self, scope: Scope) -> Scope:
        """The request as it is handed on: its path whole, as ASGI wants it, and `root` named."""
        path = self.root + scope["path"]
        return {**scope, "path": path, "raw_path": quote(path).encode("ascii"), "root_path": self.root}

    def _knows(self, scope: Scope) -> bool:
        try:
            address = ip_address((scope.get("client") or ("", 0))[0])
        except ValueError:
            return False
        return any(address in network for network in self.proxies)


def front(root: str, proxies: Iterable[str]) -> Front:
    """What stands before the studio, from options. Raises UserError for what is no path, or no address."""
    plain = root.rstrip("/")
    if not _ROOT.fullmatch(plain):
        raise UserError(f"'{root}' is no path that the studio can be under; give --root-path one such as /duck.")
    try:
        return Front(plain, tuple(ip_network(proxy, strict=False) for proxy in proxies))
    except ValueError as error:
        raise UserError(
            f"A --trusted-proxy is an address such as 127.0.0.1, or a net such as 10.0.0.0/8: {error}."
        ) from None


def _last(value: str) -> str:
    """Of several values the one that the nearest proxy added; those before it may come from anybody."""
    return value.rpartition(",")[2].strip()
