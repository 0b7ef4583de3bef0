"""The program under test: what `cofferdam sql` says of many texts at once."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from postgres import Missing

ROOT = Path(__file__).resolve().parent.parent
MEMORY = "1GiB"


@dataclass(frozen=True)
class Verdict:
    """What the program says of one text; `message` is None where it accepts it."""

    message: str | None = None
    offset: int = 0

    @property
    def accepts(self):
        """Whether the text is SQL to it."""
        return self.message is None


class Subject:
    """The built program."""

    def __init__(self, program=None):
        self.program = Path(program) if program else built_program()
        if not self.program.is_file():
            raise Missing(f"{self.program} is missing: build it with `cargo build --release`, or name it with --program")

    def check(self, texts):
        """A verdict for each text."""
        lines = self._run("check", texts).decode().splitlines()
        return [_verdict(line) for line in _whole(lines, texts)]

    def print(self, texts):
        """What the program makes of each text; empty where it rejects it."""
        entries = self._run("print", texts).decode().split("\0")[:-1]
        return _whole(entries, texts)

    def fingerprint(self, texts):
        """A fingerprint of each text; None where the program rejects it."""
        lines = self._run("fingerprint", texts).decode().splitlines()
        return [None if line.startswith("ERR ") else line for line in _whole(lines, texts)]

    def _run(self, tool, texts):
        with tempfile.NamedTemporaryFile(suffix=".nul") as file:
            # A NUL byte behind each text, so that an empty one at the end counts.
            file.writelines(text.encode() + b"\0" for text in texts)
            file.flush()
            command = [self.program, "--memory", MEMORY, "sql", tool, "-0", file.name]
            outcome = subprocess.run(command, capture_output=True)
        if outcome.returncode != 0:
            error = outcome.stderr.decode(errors="replace").strip()
            raise Missing(f"`cofferdam sql {tool} -0` ended with {outcome.returncode}: {error}")
        return outcome.stdout


def built_program():
    """The release build or the debug build, whichever is newer."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    builds = [target / profile / "cofferdam" for profile in ("release", "debug")]
    return max(builds, key=lambda path: path.stat().st_mtime if path.is_file() else 0)


def _whole(answers, texts):
    if len(answers) != len(texts):
        raise Missing(f"the program gave {len(answers)} answers to {len(texts)} texts")
    return answers


def _verdict(line):
    if line == "OK":
        return Verdict()
    _, offset, message = line.split(" ", 2)
    return Verdict(message, int(offset))
