"""Text that can be shown and written anywhere."""


def displayable(text: str) -> str:
    """``text`` with U+FFFD for lone surrogates: what undecodable bytes of file names become, and UTF-8 refuses."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
