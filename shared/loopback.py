"""Whether a host is this machine itself, the only one to which plain http is spoken."""


def is_loopback_address(host: str) -> bool:
    """Return whether the host is a loopback address.

    A name is none, `localhost` neither: what it resolves to is not ours to decide.
    """
    # Imported only where a URL is not https, so that no cold start in a cloud pays for it.
    import ipaddress  # noqa: PLC0415

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
