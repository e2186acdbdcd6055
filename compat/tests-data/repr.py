"""Prints what repr() makes of floats, strings and bytes, and which characters it escapes, as repr-<version>.json."""

import json
import random
import struct
import sys
import unicodedata


def kind(code):
    if 0xD800 <= code < 0xE000:
        return "surrogate"
    if unicodedata.category(chr(code)) == "Cn":
        return "unknown"
    return "printable" if chr(code).isprintable() else "escaped"


def ranges():
    start, last = 0, kind(0)
    for code in range(1, 0x110001):
        now = kind(code) if code < 0x110000 else None
        if now != last:
            if last != "printable":
                yield [start, code - 1, last]
            start, last = code, now


random.seed(1)
FLOATS = [0.0, -0.0, 1.0, -1.5, 0.1, 0.0001, 0.00001, 0.00012345, 9.5e-5, 1e15, 1e16, 1e17, 123456789012345680.0, 1234567890123456.7]
FLOATS += [9999999999999998.0, 1e22, 1e23, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, sys.float_info.max, 1e100]
FLOATS += [float("inf"), -float("inf"), float("nan"), -float("nan"), 9007199254740993.0, 2.0**-44, 5.684341886080802e-14, 0.3, 1 / 3]
FLOATS += [1059438285926254.25, -1425502010969177.25, 26363981746409.3125, 1059438285926254.75, 5e-324, 2.0**-1074 * 3]
FLOATS += [10.0**power for power in range(-8, 20)] + [2.0**power for power in range(-1074, 1024, 37)]
FLOATS += [struct.unpack("<d", random.randbytes(8))[0] for _ in range(200)] + [random.uniform(-1e17, 1e17) for _ in range(50)]
FLOATS += [round(random.uniform(-1000, 1000), digits) for digits in range(6) for _ in range(5)]
STRINGS = ["", "a", "'", '"', "'\"", "it's", 'say "x"', "\\", "\t\n\r\x00\x1f\x7f \xa0\xad\u00e9", "\u2028\ud7ff\ue000\ufeff\ufffe", "\U0001f600\U000e0001\U0010ffff", "\\'", "\u0300"]
BYTES = [bytes(range(256)), b"", b"'", b'"', b"'\"", b"it's", b"\\\t\n\r\x0b"]

print(json.dumps({
    "python": sys.version.split()[0],
    "unicode": unicodedata.unidata_version,
    "floats": [[struct.pack(">d", value).hex(), repr(value)] for value in FLOATS],
    "strings": [[value, repr(value)] for value in STRINGS],
    "bytes": [[value.hex(), repr(value)] for value in BYTES],
    "not_printable": list(ranges()),
}).replace('], "', '],\n"'))
