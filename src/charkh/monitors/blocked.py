"""A drift report whose p-values know that the rows of a block, such as a day, share what made them."""

import msgspec

from charkh.monitors.blocks import Blocks, can_tell, count_blocks, deals_needed, permuted
from charkh.monitors.drift import DriftReport, Thresholds, decided_anew
from charkh.monitors.sketches.table import Batches, TableSketch


def by_blocks(
    report: DriftReport,
    sketch: TableSketch,
    reference: Batches | Blocks,
    live: Batches,
    block: str,
    thresholds: Thresholds | None = None,
) -> DriftReport:
    """Decide a report anew, by dealing whole blocks.

    With so few blocks that no p-value could be small enough, the report stands as it is, with a note that says so.

    Args:
        report: what was found.
        sketch: of the reference, which fixes the bins.
        reference: its rows, or its blocks as they were counted before.
        live: the live rows.
        block: the column, of both, whose equal values are one block.
        thresholds: those of the report.
    """
    limits = thresholds or Thresholds()
    names = [each.column for each in report.columns if each.column != block]
    tests = sum(len(each.tests) for each in report.columns)
    old, new = (
        side if isinstance(side, Blocks) else count_blocks(side(), block, sketch, names, limits.bins)
        for side in (reference, live)
    )
    if not can_tell(len(old.names), len(new.names), max(1, tests), limits.level):
        note = f"{len(new.names)} and {len(old.names)} blocks of {block!r} cannot be dealt: rows count as independent"
        return msgspec.structs.replace(report, note=note)
    ordered = {each.column: each.kind == "number" for each in report.columns if each.column in names}
    found = permuted(old, new, ordered, deals_needed(tests, limits.level))
    p = {name: msgspec.structs.asdict(each) for name, each in found.items()}
    decided = decided_anew(report, p, limits)
    return msgspec.structs.replace(decided, blocks=len(new.names), reference_blocks=len(old.names))
