"""What the benchmarks say of the goals: `make bench` ends with 1 if one of them was missed."""

from dataclasses import dataclass, field


@dataclass
class Verdicts:
    """Collects what was missed, so that nobody has to look for it in the tables."""

    missed: list[str] = field(default_factory=list)

    def goal(self, met: bool, what: str, where: str = "") -> str:
        """The verdict as it stands in a table; `where` says in the list of the missed ones what was measured."""
        if not met:
            self.missed.append(f"{where}: {what}" if where else what)
        return f"{'met' if met else 'MISSED'}: {what}"

    def equal(self, same: bool, what: str) -> str:
        """Whether two ways say the same."""
        if not same:
            self.missed.append(f"{what}: UNEQUAL")
        return f"{what} {'equal' if same else 'UNEQUAL'}"

    def summary(self) -> str:
        """The last lines."""
        if not self.missed:
            return "All goals were met."
        return "\n".join((f"{len(self.missed)} missed:", *(f"  {what}" for what in self.missed)))
