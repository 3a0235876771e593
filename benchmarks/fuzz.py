"""Damage small files of every kind that jaxloc reads, and count what comes of reading them.

    python benchmarks/fuzz.py [--files 10000] [--seed 0] [--kinds images weights …] [--keep FOLDER]

A child process reads many files, one after another, through the functions that jobs use. A file is *read*, *refused*
with an error that is printed as one line, or wrong: a traceback, a hang, a crash, more memory than the limit, or
something executed (a program started, a pickle's name imported, a file written elsewhere). The weights are a network of
few channels, which is refused at the end at best. ``--keep`` keeps the wrong files.
"""

import argparse
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

SECONDS, START_UP = 60, 300
"""Time for a file, and for a child to start."""
MEMORY = 2 << 30
"""Bytes by which reading a file may grow the process."""
RESULTS = ("read", "refused", "traceback", "hang", "crash", "over memory", "executed")
STARTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
)
"""Audit events that mean that something was executed."""


def main() -> None:
    """Fuzz each kind, print a table and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    counts: dict[str, Counter[str]] = {}
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        for kind, number, result, told in results(Path(scratch)):
            counts.setdefault(kind, Counter())[result] += 1
            if result not in RESULTS[:2]:
                wrong[f"{kind}: {result}: {told}"] += 1
                if result in ("hang", "crash"):  # its child kept nothing
                    keep(Path(scratch), arguments.keep, kind, number)
    print("kind        files " + "".join(f"{result:>12}" for result in RESULTS))
    for kind, own in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"{kind:10s} {own.total():6,} " + "".join(f"{own[result]:12,}" for result in RESULTS))
    for told, number in wrong.most_common():
        print(f"\n{number} × {told}")


def results(scratch: Path) -> Iterator[tuple[str, int, str, str]]:
    """What comes of each file; a child that hangs or crashes is replaced."""
    first = 0
    while True:
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(scratch), "--first", str(first)]
        begun = None
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, bufsize=0) as process,
        ):
            while ready := select.select([process.stdout], [], [], SECONDS if begun else START_UP)[0]:
                if not (line := process.stdout.readline()):
                    break
                kind, number, result, told = json.loads(line)
                if result == "ended":
                    return
                begun = (kind, number) if result == "begun" else None
                if begun is None:
                    yield kind, number, result, told
            process.kill()
            errors.seek(0)
            said = " ".join(errors.read()[-600:].split())
        if begun is None:
            raise SystemExit(f"no file was begun: {said}")
        yield *begun, "crash" if ready else "hang", said
        first = begun[1] + 1


def keep(scratch: Path, folder: Path | None, kind: str, number: int) -> None:
    """Keep the damaged files that were read last."""
    if folder is not None:
        shutil.copytree(scratch / "damaged", folder / f"{kind}-{number}", dirs_exist_ok=True)


def child(arguments: argparse.Namespace) -> None:
    """Read the damaged files from number ``first`` on; print a line before and after each."""
    import numpy as np

    from tests import fuzzing

    warnings.simplefilter("ignore")
    scratch, damaged = arguments.child, arguments.child / "damaged"
    events: list[str] = []

    def audit(event: str, details: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+")
        if event in STARTS or (writes and not str(details[0]).startswith((str(damaged), "/proc", "/dev"))):
            events.append(f"{event} {details[:1]}")

    contents: dict[str, dict[str, bytes]] = {}
    for kind in arguments.kinds or fuzzing.KINDS:
        folder = scratch / "seeds" / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        paths = fuzzing.KINDS[kind].write(folder)
        contents[kind] = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        for path in paths:  # what is loaded or compiled once is no file's fault
            attempt(lambda kind=kind, folder=folder, path=path: fuzzing.KINDS[kind].read(folder, path))
    seeds = [(kind, name) for kind, own in contents.items() for name in own]
    each = -(-arguments.files // len(seeds))
    before = status("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (status("VmSize") + 2 * MEMORY,) * 2)
    sys.addaudithook(audit)
    for number in range(arguments.first, each * len(seeds)):
        kind, name = seeds[number // each]
        say(kind, number, "begun")
        rng = np.random.default_rng([arguments.seed, number])
        others = list(contents[kind].values())
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(scratch / "seeds" / kind, damaged)
        content = fuzzing.damage(contents[kind][name], others[int(rng.integers(len(others)))], rng)
        (damaged / name).write_bytes(content)
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
        events.clear()
        result, told = attempt(lambda kind=kind, name=name: fuzzing.KINDS[kind].read(damaged, damaged / name))
        if events:
            result, told = "executed", ", ".join(events)
        elif status("VmHWM") - before > MEMORY:
            result, told = "over memory", f"{(status('VmHWM') - before) >> 20} MiB for {name}"
        if result not in RESULTS[:2]:
            keep(scratch, arguments.keep, kind, number)
        say(kind, number, result, told)
    say("", 0, "ended")


def attempt(read: Callable[[], object]) -> tuple[str, str]:
    """What comes of reading a file, and where it went wrong."""
    from jaxloc.errors import JaxlocError

    try:
        read()
    except JaxlocError as error:
        return ("refused", "") if len(str(error).splitlines()) == 1 else ("traceback", f"in several lines: {error}")
    except MemoryError:
        return "over memory", traceback.format_exc(limit=-3)
    except SystemExit as error:
        return "executed", str(error)
    except BaseException:
        return "traceback", traceback.format_exc(limit=-6)
    return "read", ""


def status(field: str) -> int:
    """A field of the process's status in bytes."""
    return 1024 * int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def say(kind: str, number: int, result: str, told: str = "") -> None:
    os.write(1, json.dumps([kind, number, result, told]).encode() + b"\n")


if __name__ == "__main__":
    main()
