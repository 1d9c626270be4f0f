"""What a part of the bench found: printed, and written to out/."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import table
from lab.tree import Json

OUT = Path("out/bench")
FIGURES = Path("benches/figures")


@dataclass(frozen=True)
class Verdict:
    """A target and whether it was reached."""

    reached: bool
    text: str

    @classmethod
    def at_most(cls, what: str, value: float, bound: float, interval: tuple[float, float]) -> "Verdict":
        return cls(value <= bound, f"{what} {_figures(value, interval)}, at most {bound}")

    @classmethod
    def at_least(cls, what: str, value: float, bound: float, interval: tuple[float, float]) -> "Verdict":
        return cls(value >= bound, f"{what} {_figures(value, interval)}, at least {bound}")

    def __str__(self) -> str:
        return f"{'reached' if self.reached else 'MISSED'}: {self.text}"


@dataclass(frozen=True)
class Part:
    """The findings of one part."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    # What the figures were taken with.
    about: Json
    # Every single measurement.
    raw: object
    verdicts: Sequence[Verdict] = field(default_factory=list)
    svg: str | None = None
    directory: Path = OUT

    def show(self) -> None:
        table.show(self.title, self.columns, self.rows)

    def write(self) -> None:
        self._write(self.directory, {".md": self._markdown(), ".json": self._json(), ".svg": self.svg})

    def keep(self) -> None:
        """As the project's figures, which documents show."""
        self._write(FIGURES, {".md": self._markdown(), ".svg": self.svg})

    def _write(self, directory: Path, files: Json) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        paths = {directory / f"{self.name}{suffix}": text for suffix, text in files.items() if text is not None}
        for path, text in paths.items():
            path.write_text(text)
        print("\nwritten: " + ", ".join(map(str, paths)))

    def _json(self) -> str:
        return json.dumps({**self.about, "raw": self.raw}, indent=2) + "\n"

    def _markdown(self) -> str:
        about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.about.items())
        lines = [f"# {self.title}", "", f"{about}.", ""]
        lines += ["| " + " | ".join(map(table.text, cells)) + " |" for cells in self._lines()]
        lines += ["", *(f"- {verdict}" for verdict in self.verdicts)]
        if self.svg is not None:
            lines += ["", f"![plot]({self.name}.svg)"]
        return "\n".join(lines).rstrip() + "\n"

    def _lines(self) -> Iterator[Sequence[object]]:
        yield from (self.columns, ["---"] * len(self.columns), *self.rows)


def _figures(value: float, interval: tuple[float, float]) -> str:
    lower, upper = interval
    return f"{value:.3f} (95 % confidence {lower:.3f}–{upper:.3f})"
