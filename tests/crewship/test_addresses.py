import pytest

from crewship.addresses import Reach, Refused
from domain.errors import BadRequest

CLOSED = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1"),
    *("ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::"),
    *("2001::1", "2001:db8::1", "fd00:ec2::254", "nonsense", ""),
]
OPEN = ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "172.32.0.1"]


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_refused(address: str):
    with pytest.raises(Refused, match="is not a public address"):
        Reach().check(address)


@pytest.mark.parametrize("address", OPEN)
def test_what_is_public_is_permitted(address: str):
    Reach().check(address)


def test_what_the_operator_allows_is_permitted_in_either_form():
    reach = Reach(("10.1.2.0/24", "fd00::/8", "127.0.0.1"))
    for address in ("10.1.2.9", "::ffff:10.1.2.9", "fd00::7", "127.0.0.1"):
        assert reach.permits(address)
    for address in ("10.1.3.1", "127.0.0.2", "fe80::1", "::1"):
        assert not reach.permits(address)


def test_an_entry_that_is_no_network_is_refused_by_name():
    with pytest.raises(BadRequest, match=r"CREWSHIP_WEBHOOK_ALLOW: 'example\.com' is not a network"):
        Reach(("example.com",))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "example.com",
            "//example.com",
            "ftp://example.com",
            "http://",
            "http:///x",
            "https://a b.com/",
            "http://x:y/",
        ),
        *("http://[::1", "https://u@example.com", "https://exämple.com", "http://127.0.0.1", "https://[fd00::1]/"),
        "https://example.com/" + "x" * 2048,
    ],
)
def test_a_url_that_cannot_be_delivered_to_is_refused(url: str):
    with pytest.raises(BadRequest, match=r"^url: "):
        Reach().check_url(url)


@pytest.mark.parametrize("url", ["https://example.com", "http://example.com:8080/a?b=c", "https://8.8.8.8/"])
def test_other_urls_are_taken(url: str):
    Reach().check_url(url)
