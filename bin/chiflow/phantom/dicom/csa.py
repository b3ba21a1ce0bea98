"""The private header in which Siemens keeps a protocol as text: a list of named values, each padded to four bytes."""

import struct

MAGIC, CHECK = b"SV10\x04\x03\x02\x01", 77


def protocol_header(echo_times_s: tuple[float, ...]) -> bytes:
    """CSA header with a protocol that names the echo times (µs), as far as a converter reads it."""
    echoes = "".join(f"alTE[{i}]\t = \t{round(1e6 * time)}\n" for i, time in enumerate(echo_times_s))
    text = f"### ASCCONV BEGIN ###\n{echoes}lContrasts\t = \t{len(echo_times_s)}\n### ASCCONV END ###\n".encode() + b"\0"
    name = "MrPhoenixProtocol".encode().ljust(64, b"\0") + struct.pack("<i4siii", 1, b"UN\0\0", 0, 1, CHECK)
    value = struct.pack("<iiii", len(text), len(text), CHECK, len(text)) + text + bytes(-len(text) % 4)
    return MAGIC + struct.pack("<II", 1, CHECK) + name + value
