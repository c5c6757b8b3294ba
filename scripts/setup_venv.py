"""Make .venv from a locked requirements file, and the project itself, so that a second call takes a moment.

Usage: python3 scripts/setup_venv.py requirements/lock-dev.txt

Standard library only: it runs before anything is installed. The stamp in .venv holds a digest of the lock, of
pyproject.toml and of the interpreter; an equal stamp means that nothing is to do.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def digest(lock: Path) -> str:
    """What an up-to-date environment depends on."""
    parts = [platform.python_version().encode(), lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def usable() -> bool:
    """True when .venv has pip and the minor version of this interpreter."""
    question = "import sys, pip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([PYTHON, "-c", question], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.stdout.split() == [str(number) for number in sys.version_info[:2]]


def pip(*arguments: str) -> None:
    """Run pip inside .venv; end with its exit code when it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        sys.exit(f"set-up failed: {' '.join(command)}")


def main() -> None:
    """Bring .venv up to date with the lock."""
    lock = ROOT / sys.argv[1]
    stamp = VENV / f"installed-{lock.stem}"
    wanted = digest(lock)
    if stamp.exists() and stamp.read_text() == wanted and PYTHON.exists():
        return
    began = time.monotonic()
    if not usable():
        if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
            sys.exit("this Python cannot make a virtual environment; on Debian: sudo apt-get install python3-venv")
        print(f"making {VENV.relative_to(ROOT)} with Python {platform.python_version()} …", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
            sys.exit(f"set-up failed: could not make {VENV}")
    print(f"installing {lock.relative_to(ROOT)} …", file=sys.stderr, flush=True)
    # The lock is the whole resolution. Left to resolve again, pip takes a newer release for a requirement with an extra
    # (`coverage[toml]`) than the lock pins, and then refuses it for want of a hash.
    pip("install", "--no-deps", "--require-hashes", "--requirement", str(lock))
    pip("install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    stamp.write_text(wanted)
    print(f"set-up done in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
