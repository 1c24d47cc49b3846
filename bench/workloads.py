"""In: a tool and the name of a workload. Out: the command to measure, and what to do before it. Never: a step that only some tools do."""
import os
import random
import time
from dataclasses import dataclass
from typing import Callable, Optional

CHANGED = "ctx/many/d100/f50.txt"
NAMES = ["W1", "W1p", "W2", "W3", "W3o", "W4", "W5", "W6", "W7", "W8", "W9", "W10g", "W10z"]
WHAT = {
    "W1": "no-op rebuild, 8 small files",
    "W1p": "the same with push",
    "W2": "no-op rebuild, 20,000 files",
    "W3": "one of 20,000 files changed, rebuild and push",
    "W3o": "the same to an OCI archive",
    "W4": "nothing cached, 20,000 files, amd64 and arm64, push",
    "W5": "empty state: FROM busybox, RUN true",
    "W6": "50 x RUN true, no cache",
    "W7": "pull and unpack Debian, RUN true",
    "W8": "arm64 shell loop under QEMU",
    "W9": "two images joined into an index in the registry",
    "W10g": "500 MB layer to an OCI archive, gzip",
    "W10z": "the same, zstd",
}


@dataclass
class Workload:
    argv: list
    """The command that is measured."""
    out: str = "none"
    warm: bool = False
    """Runs once before the first round."""
    before: Optional[Callable] = None
    """Runs before every round, not measured."""


def change_a_file(home):
    """New content of a new length each time, so that nobody has seen it."""
    with open(os.path.join(home, CHANGED), "w", encoding="ascii") as file:
        file.write(f"changed {time.time_ns()}\n" + "x" * random.randint(100, 4000))


def workload(name, tool, home, registry):
    small, many, big = "ctx/small", "ctx/many", "ctx/big"
    file = "df/w{}.Dockerfile".format

    def pruned(then=None):
        def before():
            tool.prune()
            if then:
                tool.run(then)
        return before

    def changed():
        change_a_file(home)

    if name in ("W1", "W1p"):
        out = "none" if name == "W1" else "push"
        return Workload(tool.build(small, file(1), out), out, warm=True)
    if name == "W2":
        return Workload(tool.build(many, file(2), "none"), warm=True)
    if name in ("W3", "W3o"):
        out = "push" if name == "W3" else "oci:w3"
        return Workload(tool.build(many, file(2), out), out, warm=True, before=changed)
    if name == "W4":
        return Workload(tool.build(many, file(2), "push", platforms="linux/amd64,linux/arm64"), "push", before=pruned())
    if name == "W5":
        return Workload(tool.build(small, file(5), "none"), before=tool.wipe)
    if name == "W6":
        return Workload(tool.build(small, file(6), "none", fresh=True), warm=True)
    if name == "W7":
        return Workload(tool.build(small, file(7), "none"), before=pruned())
    if name == "W8":
        return Workload(tool.build(small, file(8), "none", fresh=True), warm=True)
    if name == "W9":
        sources = [f"{registry}/bench/single:{arch}" for arch in ("amd64", "arm64")]
        return Workload(tool.combine(f"{registry}/bench/joined:{tool.name}", sources))
    if name in ("W10g", "W10z"):
        # The file is in the build cache before the clock starts, uncompressed.
        out = "oci:w10" if name == "W10g" else "oci:w10,zstd"
        return Workload(tool.build(big, file(10), out), out, before=pruned(tool.build(big, file(10), "none")))
    raise SystemExit(f"no workload is named {name}; there are {' '.join(NAMES)}")
