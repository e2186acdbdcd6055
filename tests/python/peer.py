"""The Python side of the tests: one JSON command per line on stdin, one JSON answer per line on stdout.

Values travel as {"t": "int", "v": "-1"} and so on, floats by their bits, so that nothing is lost on the way. What
raises is answered with {"err": {"type": ..., "text": ...}}.
"""
import json
import pickle
import struct
import sys
from multiprocessing import resource_tracker, shared_memory

objects = {}


class Steps:
    """The `struct` module for `shared_memory`, whose stores into a block wait for a line each."""

    def __getattr__(self, name):
        return getattr(struct, name)

    def pack_into(self, *arguments):
        print(json.dumps({"step": True}), flush=True)
        sys.stdin.readline()
        struct.pack_into(*arguments)


def typed(value):
    if value is None:
        return {"t": "none"}
    if isinstance(value, bool):
        return {"t": "bool", "v": value}
    if isinstance(value, int):
        return {"t": "int", "v": str(value)}
    if isinstance(value, float):
        return {"t": "float", "bits": struct.pack(">d", value).hex()}
    if isinstance(value, str):
        return {"t": "str", "utf8": value.encode("utf-8").hex()}
    return {"t": "bytes", "hex": bytes(value).hex()}


def untyped(value):
    kind = value["t"]
    if kind == "none":
        return None
    if kind == "bool":
        return value["v"]
    if kind == "int":
        return int(value["v"])
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(value["bits"]))[0]
    if kind == "str":
        return bytes.fromhex(value["utf8"]).decode("utf-8")
    return bytes.fromhex(value["hex"])


def keywords(command):
    return {"track": command["track"]} if "track" in command else {}


def run(command):
    op = command["op"]
    key = command.get("key", "x")
    if op == "version":
        return {"version": sys.version.split()[0]}
    if op == "list":
        objects[key] = shared_memory.ShareableList([untyped(v) for v in command["values"]], name=command.get("name"))
        return {"name": objects[key].shm.name}
    if op == "open list":
        objects[key] = shared_memory.ShareableList(name=command["name"])
        return {"len": len(objects[key])}
    if op == "steps":
        shared_memory.struct = Steps() if command["on"] else struct
        return {}
    if op == "block":
        objects[key] = shared_memory.SharedMemory(command.get("name"), create=True, size=command["size"], **keywords(command))
        return {"name": objects[key].name, "size": objects[key].size}
    if op == "open block":
        objects[key] = shared_memory.SharedMemory(command["name"], **keywords(command))
        return {"name": objects[key].name, "size": objects[key].size}
    if op == "unpickle":
        objects[key] = pickle.loads(bytes.fromhex(command["hex"]))
        return {"type": type(objects[key]).__name__}
    if op == "tracker":
        resource_tracker.ensure_running()
        return {"fd": resource_tracker.getfd()}
    thing = objects[key]
    block = getattr(thing, "shm", thing)
    if op == "pickle":
        return {"hex": pickle.dumps(thing, command["protocol"]).hex()}
    if op == "get":
        return {"value": typed(thing[command["index"]])}
    if op == "set":
        thing[command["index"]] = untyped(command["value"])
        return {}
    if op == "values":
        return {"values": [typed(v) for v in thing]}
    if op == "count":
        return {"count": thing.count(untyped(command["value"]))}
    if op == "index":
        return {"index": thing.index(untyped(command["value"]))}
    if op == "format":
        return {"format": thing.format}
    if op == "repr":
        return {"repr": repr(thing)}
    if op == "toggle":
        # Stores the values in turn, for a peer that reads meanwhile.
        values = [untyped(v) for v in command["values"]]
        for turn in range(command["turns"]):
            thing[command["index"]] = values[turn % len(values)]
        return {}
    if op == "read":
        start, length = command["start"], command["len"]
        return {"hex": bytes(block.buf[start : start + length]).hex()}
    if op == "write":
        data = bytes.fromhex(command["hex"])
        block.buf[command["start"] : command["start"] + len(data)] = data
        return {}
    if op == "cast":
        # The block as an array, as NumPy would see it in C order.
        view = block.buf[: command["bytes"]].cast(command["format"], command["shape"])
        value = view[tuple(command["indices"])]
        view.release()
        return {"value": typed(value)}
    if op == "close":
        block.close()
        del objects[key]
        return {}
    if op == "unlink":
        block.unlink()
        return {}
    raise ValueError("no such command: " + op)


for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except Exception as error:  # noqa: BLE001: whatever it is, the test decides about it.
        answer = {"err": {"type": type(error).__module__ + "." + type(error).__name__, "text": str(error)}}
    print(json.dumps(answer), flush=True)
