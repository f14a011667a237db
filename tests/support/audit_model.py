"""What the audit log holds after a history, as a plain list."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class AuditModel:
    """Records by number: call, code of the error, log index."""

    records: dict[int, tuple[bytes, str, int]] = field(default_factory=dict)
    last: int = 0

    def note(self, call: bytes, code: str, index: int) -> None:
        """Note it, unless it is there."""
        codes = [known for named, known, _ in self.records.values() if named == call]
        if code not in codes and not (code == "OutcomeUnknown" and codes):
            self.last += 1
            self.records[self.last] = (call, code, index)

    def trim(self, up_to: int) -> None:
        """Forget what is not the newest, up to that number. There are no thousand here."""
        for number in [number for number in self.records if number <= up_to and number < self.last]:
            del self.records[number]
