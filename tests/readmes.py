"""The command lines of all READMEs."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READMES = sorted(
    path for path in ROOT.rglob("README*.md") if not path.relative_to(ROOT).parts[0].startswith(".")
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("", "bash", "sh", "console", "shell")
INLINE = re.compile(r"`([^`\n]+)`")
PROGRAMS = re.compile(r"(\S*python\S*|bash|torchrun|\S*/torchrun|\w+\.py)")


@dataclass(frozen=True)
class Command:
    """One line: where it stands, and its words without variables before them."""

    readme: Path
    number: int
    words: tuple[str, ...]
    whole: bool  # to be copied as it is: of a block, and nothing is left out

    @property
    def script(self) -> str | None:
        """The script of ours that it runs, directly or through a launcher."""
        return next((word for word in self.words if word.endswith(".py") and "/" not in word), None)

    @property
    def arguments(self) -> list[str]:
        """What the script gets."""
        return list(self.words[self.words.index(self.script) + 1 :]) if self.script else []

    @property
    def module(self) -> str | None:
        """What `python -m` runs."""
        return self.words[self.words.index("-m") + 1] if "-m" in self.words[:-1] else None


def commands(readme: Path) -> Iterator[Command]:
    """Those in the blocks of a README, and those within its text that are more than a name."""
    text = readme.read_text(encoding="utf-8")
    blocks = [(match.start(2), match[2]) for match in BLOCK.finditer(text) if match[1] in SHELLS]
    rest = BLOCK.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found = [(place, line, True) for start, block in blocks for place, line in _lines(start, block)]
    found += [(match.start(1), match[1].replace("\\|", "|"), False) for match in INLINE.finditer(rest)]
    for place, line, in_block in sorted(found):
        words = _words(line)
        several = sum(word.endswith(".py") and "/" not in word for word in words) > 1  # a list of them
        if len(words) > 1 and PROGRAMS.fullmatch(words[0]) and not several:
            left_out = any("…" in word or "[" in word or "|" in word for word in words)
            number = text.count("\n", 0, place) + 1
            yield Command(readme, number, tuple(_plain(words)), in_block and not left_out)


def _plain(words: list[str]) -> Iterator[str]:
    """What may stand in brackets stands there, and the first of several; what is left out is not there."""
    for word in words:
        plain = word.strip("[]").split("|")[0]
        if plain not in ("…", "..."):
            yield plain


def _lines(start: int, block: str) -> Iterator[tuple[int, str]]:
    """Whole lines of a block, those that go on joined, and where each begins."""
    place = start
    for line in re.split(r"(?<!\\)\n", block):
        yield place, line.replace("\\\n", " ")
        place += len(line) + 1


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:  # no command
        return []
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    ends = [number for number, word in enumerate(words) if word in (">", "|", "&&", "2>&1", "&", "<")]
    return words[: ends[0]] if ends else words
