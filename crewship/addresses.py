"""Which addresses the server itself may be sent to: public ones, and what the operator allows beside them.

A name is judged by what it resolves to, at the moment of connecting; see notifier/sending.py.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from domain.errors import BadRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2048
CLOSED_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        ),
    )
)
"""Private, shared, loopback, link-local (and with it the metadata of clouds), multicast, reserved."""
PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
CLOSED_V6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Of the public range: tunnels that lead anywhere, and what is for documentation."""
TRANSLATED_V6 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator: the last four bytes say where."""


class Refused(OSError):
    """An address that is not public and that the operator has not allowed."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} is not a public address (the operator can allow it: CREWSHIP_WEBHOOK_ALLOW)")


class Reach:
    """What may be reached: public addresses, and networks given like `10.1.2.0/24`, `127.0.0.1` or `fd00::/8`."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        """Raises BadRequest for an entry that is no network."""
        self._allowed = [_network(text) for text in allowed]

    def permits(self, text: str) -> bool:
        """Whether a numeric address may be connected to. What is no address may not."""
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        forms = (address, _plain(address))
        return _public(forms[1]) or any(form in network for form in forms for network in self._allowed)

    def check(self, text: str) -> None:
        """Raises Refused for a numeric address that may not be connected to."""
        if not self.permits(text):
            raise Refused(text)

    def check_url(self, url: str) -> None:
        """Raises BadRequest for what cannot be delivered to. A name may still resolve to what is refused."""
        if len(url) > LONGEST_URL:
            raise BadRequest(f"url: at most {LONGEST_URL} characters")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise BadRequest("url: only printable ASCII characters; encode others")
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError as fault:
            raise BadRequest(f"url: {fault}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise BadRequest("url: expected an address like https://example.com/hook")
        if parts.username is not None or parts.password is not None:
            raise BadRequest("url: no user name or password; check the signature of what arrives instead")
        if _is_numeric(host) and not self.permits(host):
            raise BadRequest(f"url: {Refused(host)}")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadRequest(f"CREWSHIP_WEBHOOK_ALLOW: {text!r} is not a network like 10.1.2.0/24 or fd00::/8") from None


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in TRANSLATED_V6:
            return ipaddress.IPv4Address(address.packed[-4:])
    return address


def _public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in CLOSED_V4)
    return address in PUBLIC_V6 and not any(address in network for network in CLOSED_V6)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
