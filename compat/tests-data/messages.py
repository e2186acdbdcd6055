"""Prints messages.json: requests and replies of managers. CPython 3.8.18 to 3.14.10 print the same bytes.

3.15.2 writes the last of 1001 names with APPEND, as Lib/pickle.py always has."""

import hashlib
import json
import pickle
import pickletools
from multiprocessing.reduction import ForkingPickler


def typed(value):
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [typed(item) for item in value]}
    # As a string, because JSON has no integers of 64 bits.
    return {"int": str(value)} if type(value) is int else value


def forking(value, protocol):
    return bytes(ForkingPickler.dumps(value, protocol))


NAMES = ["psm_0123abcd", "", "/abc", "pr\u00e9z\u20ac\U0001f600", "n" * 255, "\u00e9" * 128]
INTS = [0, 255, 256, 65535, 65536, 2**31 - 1, 2**31, -1, -128, -(2**31), -(2**31) - 1, 2**39, -(2**39), -(2**39) - 1, 2**63 - 1, -(2**63)]


def messages():
    for method in ["dummy", "list_segments", "shutdown", "number_of_objects", "debug_info"]:
        yield "request", (None, method, (), {})
    for name in NAMES:
        yield "request", (None, "track_segment", (name,), {})
        yield "request", (None, "release_segment", (name,), {})
    yield "request", (None, "incref", ("7f0000000000",), {})
    yield "request", (None, "create", ("dict", 7, None, True, b"\x00\xff", [], ["a", "b"], ("c", "d", "e", "f")), {})
    for value in [None, True, False, "", "text", b"", b"\x01" * 256, [], (), [(), []], ((((1,),),),)] + INTS:
        yield "reply", ("#RETURN", value)
    yield "reply", ("#RETURN", ("7f0000000000", ("append", "count")))
    yield "reply", ("#TRACEBACK", "Traceback (most recent call last):\n  " + "x" * 300 + "\nKeyError: 'SharedMemory'\n")
    yield "reply", ("#UNSERIALIZABLE", "<generator object>")
    for count in [1, 2, 20]:
        yield "reply", ("#RETURN", names(count))


def names(count):
    return ["psm_%08x" % number for number in range(count)]


rows = []
for kind, value in messages():
    # Handles of protocols 0 and 1 are not sent by any Python that has managers of segments.
    for protocol in range(2, 6):
        plain = pickle.dumps(value, protocol)
        if protocol == 2 and (b"_codecs" in plain or b"__builtin__" in plain):
            # There is no instruction for bytes: the pickle imports a function.
            continue
        assert forking(value, protocol) == plain
        others = {pickle._dumps(value, protocol).hex(), pickletools.optimize(plain).hex()} - {plain.hex()}
        rows.append({"kind": kind, "value": typed(value), "protocol": protocol, "dumps": plain.hex(), "others": sorted(others)})
large = []
for shape, argument in [("names", 999), ("names", 1000), ("names", 1001), ("names", 5000), ("text", 65535), ("text", 65536), ("text", 200000), ("pair", 65536)]:
    value = {
        "names": lambda: ("#RETURN", names(argument)),
        "text": lambda: ("#TRACEBACK", "t" * argument),
        # What stands between the two is too short for a frame.
        "pair": lambda: ("#RETURN", ("t" * argument, "u" * argument)),
    }[shape]()
    for protocol in range(2, 6):
        plain = forking(value, protocol)
        large.append({shape: argument, "protocol": protocol, "length": len(plain), "sha256": hashlib.sha256(plain).hexdigest()})
print('{"messages": [\n' + ",\n".join(map(json.dumps, rows)) + '\n],\n"large": [\n' + ",\n".join(map(json.dumps, large)) + "\n]}")
