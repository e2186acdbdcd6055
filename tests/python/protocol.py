"""One end of a conversation between a manager and its client, of CPython's own parts; the other end is the test.

The socket is the standard input. Prints one line of JSON: what was returned or raised.
"""
import json
import sys
import threading
from multiprocessing import connection, managers

ROLE, KEY, ARGUMENT = sys.argv[1], bytes.fromhex(sys.argv[2]), json.loads(sys.argv[3])


def socket():
    return connection.Connection(0)


def client():
    """As `Client(address, authkey=KEY)` and then `dispatch`, which is what the methods of a manager do."""
    c = socket()
    connection.answer_challenge(c, KEY)
    connection.deliver_challenge(c, KEY)
    return managers.dispatch(c, None, ARGUMENT["method"], tuple(ARGUMENT["args"]))


def connected():
    """`connect()` of a real manager."""
    managers.SharedMemoryManager(address=ARGUMENT["address"], authkey=KEY).connect()


def server():
    """A real server, without its listener."""
    server = object.__new__(managers.SharedMemoryServer)
    server.authkey = KEY
    server.id_to_obj, server.id_to_refcount, server.mutex = {"0": (None, ())}, {}, threading.Lock()
    server.registry, server.stop_event = {}, threading.Event()
    server.shared_memory_context = managers._SharedMemoryTracker("test", list(ARGUMENT["names"]))
    # Closes the connection up to 3.8, and leaves that to its caller later.
    server.handle_request(socket())
    names = list(server.shared_memory_context.segment_names)
    # Its `__del__` would look for them in /dev/shm.
    server.shared_memory_context.segment_names.clear()
    return {"names": names, "stopped": server.stop_event.is_set()}


def listener():
    """`Listener.accept` of a real listener."""
    with connection.Listener(ARGUMENT["address"], authkey=KEY) as bound:
        print("listening", flush=True)
        with bound.accept() as c:
            request = c.recv()
            c.send(("#RETURN", list(request)))


try:
    result = {"ok": globals()[ROLE]()}
except Exception as error:
    result = {"type": type(error).__name__, "text": str(error)}
print(json.dumps(result))
