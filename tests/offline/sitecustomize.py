"""Refuse every connection that would leave this computer.

Python imports a module of this name when it starts. With this folder on PYTHONPATH every
interpreter of a run is held to loopback: pytest itself and the kernels it starts.
"""

import ipaddress
import sys

GUARDED_EVENTS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
NAME_EVENTS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


class NetworkBlockedError(OSError):
    """Something tried to reach another computer."""


def is_local(host: object) -> bool:
    """Whether a host as the socket module receives it stays on this computer."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse_network(event: str, arguments: tuple) -> None:
    """Audit hook: raise on a connection or a name look-up that is not local."""
    if event in GUARDED_EVENTS:
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path is a Unix socket
    elif event in NAME_EVENTS:
        host = arguments[0]
    else:
        return
    if not is_local(host):
        raise NetworkBlockedError(f"this run is offline, but {event} was called for {host!r}")


sys.addaudithook(refuse_network)
