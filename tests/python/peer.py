"""The Python side of the tests: one JSON command per line on stdin, one JSON answer per line on stdout.

Values travel as {"t": "int", "v": "-1"} and so on, floats by their bits, so that nothing is lost on the way. What
raises is answered with {"err": {"type": ..., "text": ...}}.
"""
import json
import os
import pickle
import struct
import sys
from multiprocessing import connection, managers, resource_tracker, shared_memory

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


def address_of(address):
    """A JSON array stands for a tuple, which is how Python spells a TCP port."""
    return tuple(address) if isinstance(address, list) else address


def spelt(address):
    return address.decode() if isinstance(address, bytes) else address


def vanish_at(stage, address, authkey):
    """A client of a manager that goes so far, and then does nothing."""
    client = connection.SocketClient(address)
    if stage in ("answered", "authenticated", "half a request"):
        connection.answer_challenge(client, authkey)
    if stage in ("authenticated", "half a request"):
        connection.deliver_challenge(client, authkey)
    if stage == "half a request":
        os.write(client.fileno(), bytes([0, 0, 0, 50]) + bytes(20))
    return client


def run_manager(op, key, command):
    """Commands about `SharedMemoryManager`. None if it is none of them."""
    if op == "manager":
        authkey = bytes.fromhex(command["authkey"])
        objects[key] = managers.SharedMemoryManager(address_of(command["address"]), authkey)
        return {}
    if op == "vanish at":
        objects[key] = vanish_at(command["stage"], address_of(command["address"]), bytes.fromhex(command["authkey"]))
        return {}
    if op == "names":
        # What this process names by itself carries the test's prefix.
        shared_memory._SHM_NAME_PREFIX = "/" + command["prefix"]
        shared_memory._SHM_SAFE_NAME_LENGTH = len(command["prefix"]) + 9
        return {}
    if op == "untrack all":
        # The way of Python up to 3.12 to leave to others what is theirs, and of all of them for lists.
        resource_tracker.register = resource_tracker.unregister = lambda name, rtype: None
        return {}
    manager = objects.get(command.get("manager", "m"))
    if op == "connect":
        manager.connect()
        return {}
    if op == "start":
        manager.start()
        return {"address": spelt(manager.address), "pid": manager._process.pid}
    if op == "enter":
        manager.__enter__()
        return {"address": spelt(manager.address), "pid": manager._process.pid}
    if op == "exit":
        manager.__exit__(None, None, None)
        return {}
    if op == "serve":
        server = manager.get_server()
        print(json.dumps({"address": spelt(server.address)}), flush=True)
        server.serve_forever()
    if op == "shutdown":
        manager.shutdown()
        return {}
    if op == "managed block":
        objects[key] = manager.SharedMemory(command["size"])
        return {"name": objects[key].name, "size": objects[key].size}
    if op == "managed list":
        objects[key] = manager.ShareableList([untyped(v) for v in command["values"]])
        return {"name": objects[key].shm.name}
    if op == "dispatch":
        with manager._Client(manager._address, authkey=manager._authkey) as client:
            return {"result": managers.dispatch(client, None, command["method"], tuple(command["args"]))}
    return None


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
    answer = run_manager(op, key, command)
    if answer is not None:
        return answer
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


def main():
    for line in sys.stdin:
        try:
            answer = run(json.loads(line))
        except Exception as error:  # noqa: BLE001: whatever it is, the test decides about it.
            answer = {"err": {"type": type(error).__module__ + "." + type(error).__name__, "text": str(error)}}
        print(json.dumps(answer), flush=True)


# Where Python starts a process that is no copy of this one, that reads this file, too.
if __name__ == "__main__":
    main()
