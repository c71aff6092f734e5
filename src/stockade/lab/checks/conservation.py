"""Nothing appears or disappears (I1, I3): what is left is what there was, moved by what was carried out.

A lost update shows here: two buyers were told yes and the row moved once.
"""

from collections import defaultdict
from collections.abc import Iterator

from stockade.core import Key
from stockade.lab.execution.repeat_result import Trial, Violation


def check(trial: Trial) -> Iterator[Violation]:
    """`left` against the answers, then each row against the sum of its ledger."""
    scene, evidence = trial.scene, trial.evidence
    right = scene.opening + scene.step * trial.carried_out
    if trial.left != right:
        carried = f"{trial.carried_out} carried out at {scene.step:+d} on {scene.opening}"
        yield Violation("conservation", f"{carried} make {right}, but {trial.left} are left")
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    for entry in evidence.ledger:
        sums[entry.key][0] += entry.delta
        sums[entry.key][1] += entry.held
    for key in sorted({*evidence.rows, *sums}):
        row, (amount, held) = evidence.rows.get(key), sums[key]
        if row is None:
            yield Violation("conservation", f"{key} has ledger entries but does not exist")
        elif (row.amount, row.held) != (amount, held):
            text = f"{key} is {row.amount} ({row.held} held), its ledger sums to {amount} ({held} held)"
            yield Violation("conservation", text)
