"""Prints pickles.json: pickles of handles that need no block. CPython 3.8.18 to 3.13.0 print the same bytes."""

import json
import pickle
import pickletools
from multiprocessing import shared_memory
from multiprocessing.reduction import ForkingPickler


def memory(name, size):
    block = object.__new__(shared_memory.SharedMemory)
    block._name, block._size = "/" + name, size
    block._fd, block._buf, block._mmap = -1, None, None
    return block


def listing(name):
    result = object.__new__(shared_memory.ShareableList)
    result.shm = memory(name, 64)
    return result


NAMES = ["psm_0123abcd", "name", "", "/abc", "pr\u00e9z\u20ac", "x\U0001f600", "a\\b\\\\u0041\nc\rd\x1ae\x00f", "n" * 255, "\u00e9" * 128]
SIZES = [1, 100, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**39 - 1, 2**39, 2**47, 2**55, 2**63 - 1]


def cases():
    for name in NAMES:
        yield memory(name, 4096), {"name": name, "size": 4096}
        yield listing(name), {"name": name, "size": None}
    for size in SIZES:
        yield memory("psm_0123abcd", size), {"name": "psm_0123abcd", "size": size}


rows = []
for value, case in cases():
    for protocol in range(6):
        plain = pickle.dumps(value, protocol)
        assert plain == pickle._dumps(value, protocol)
        forking = bytes(ForkingPickler.dumps(value, protocol))
        row = dict(case, protocol=protocol, dumps=plain.hex())
        row["others"] = sorted({pickletools.optimize(plain).hex(), forking.hex(), pickletools.optimize(forking).hex()} - {plain.hex()})
        rows.append(row)
print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
