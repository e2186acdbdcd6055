"""A Python that times its own ShareableList.

Answers `make KIND COUNT NAME` with 0, and every other line, an operation and how often to repeat it, with the
processor time of one in nanoseconds: of a pass, of a whole list, or for `get` and `set` of one value. The resource
tracker is a process of its own, whose time is not in it.
"""

import random
import sys
import time
from multiprocessing.shared_memory import ShareableList

PLACES = 2000

VALUES = {
    "ints": lambda i: i * 1_000_003 + 2,
    "floats": lambda i: i * 0.5 + 0.25,
    "strings": lambda i: "%020d" % i,
    # The last of every five is an integer, so that `index` has all of the list to search.
    "mixed": lambda i: (i % 2 == 0, None, i * 0.5 + 0.25, "%020d" % i, i * 1_000_003 + 2)[i % 5],
}


class Bench:
    shared = None

    def make(self, kind, count, name):
        self.end()
        self.name = name
        self.values = [VALUES[kind](i) for i in range(int(count))]
        self.shared = ShareableList(self.values, name=name)
        choice = random.Random(1)
        self.places = [choice.randrange(int(count)) for _ in range(PLACES)]

    def end(self):
        if self.shared is not None:
            self.shared.shm.close()
            self.shared.shm.unlink()

    def iterate(self):
        for _ in self.shared:
            pass

    def get(self):
        shared = self.shared
        for place in self.places:
            shared[place]

    def set(self):
        shared, values = self.shared, self.values
        for place in self.places:
            shared[place] = values[place]

    def count(self):
        self.shared.count(self.values[-1])

    def index(self):
        self.shared.index(self.values[-1])

    def create(self):
        created = ShareableList(self.values, name=self.name + "-new")
        created.shm.close()
        created.shm.unlink()

    def attach(self):
        ShareableList(name=self.name).shm.close()


bench = Bench()
print("%d.%d.%d" % sys.version_info[:3], flush=True)
for line in sys.stdin:
    operation, *arguments = line.split()
    if operation == "make":
        bench.make(*arguments)
        print(0, flush=True)
        continue
    run, repeat = getattr(bench, operation), int(arguments[0])
    start = time.process_time_ns()
    for _ in range(repeat):
        run()
    spent = (time.process_time_ns() - start) / repeat
    print(spent / PLACES if operation in ("get", "set") else spent, flush=True)
bench.end()
