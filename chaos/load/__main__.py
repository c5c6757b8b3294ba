"""`python -m chaos.load --config FILE`: one run; the report is printed as JSON and stands in `<log>.json`.

It ends after its duration, on SIGTERM or SIGINT, or when its standard input is a pipe, socket or terminal that closes.
Exit code: 0 measured, 2 bad configuration, 5 not measured (its problems say why), 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import stat
import sys
from pathlib import Path
from typing import Any, Final

from chaos.load.config import ConfigError, Load, read
from chaos.load.generator import Generator

BAD_INPUT: Final = 2
NOT_MEASURED: Final = 5
INTERRUPTED: Final = 130
_SPARE_DESCRIPTORS: Final = 64


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m chaos.load")
    parser.add_argument("--config", type=Path, required=True, help="JSON file (chaos/load/config.py)")
    path = parser.parse_args().config
    try:
        load = read(path)
        _allow_descriptors(load)
    except ConfigError as error:
        sys.stderr.write(f"chaos.load: {error}\n")
        raise SystemExit(BAD_INPUT) from None
    gc.freeze()  # what is loaded stays: a collection need not look at it while requests are due
    raise SystemExit(asyncio.run(_run(load)))


async def _run(load: Load) -> int:
    generator = Generator(load)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, generator.stop, number.name)
    if _closes(0):
        loop.add_reader(0, _listen, loop, generator)
    try:
        report = await generator.run()
        _write(report, Path(f"{load.log}.json"))
    except OSError as error:
        sys.stderr.write(f"chaos.load: {error.filename or load.log}: {error.strerror}\n")
        return NOT_MEASURED
    for problem in report["problems"]:
        sys.stderr.write(f"chaos.load: {problem}\n")
    if report["stopped_by"] == signal.SIGINT.name:
        return INTERRUPTED
    return NOT_MEASURED if report["problems"] else 0


def _listen(loop: asyncio.AbstractEventLoop, generator: Generator) -> None:
    """Something came on standard input: what it says does not matter, its end does."""
    if not os.read(0, 65_536):
        loop.remove_reader(0)
        generator.stop("stdin")


def _write(report: dict[str, Any], path: Path) -> None:
    text = json.dumps(report, indent=1) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(path)


def _closes(descriptor: int) -> bool:
    """Is somebody at its other end? The null device and files are at their end from the start."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


def _allow_descriptors(load: Load) -> None:
    needed = load.max_open + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise ConfigError(f"max_open: {load.max_open} needs {needed} descriptors, this process may have {hard}")
    if soft != resource.RLIM_INFINITY and needed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


if __name__ == "__main__":
    main()
