"""The exit codes of every command; docs/reference/cli.md shows this table.

The codes of people's scripts: 0 and 1 are answers, everything else means that there is no answer.
"""

OK = 0
FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130
TERMINATED = 143

MEANINGS = {
    OK: "it is done; `audit`, `lab` and `race`: everything is as it must be",
    FAILED: "the answer is no: `audit` or `race` found a broken invariant, `lab` a broken promise, `locks --break` a "
    "lock that nobody held, `erase-user` no row with the user id, `payments reconcile` a difference; or it was given "
    "up halfway: the output cannot be written, or a serving process died",
    UNUSABLE: "nothing was done: an option, a setting, a missing package, or a server that does not answer",
    INTERRUPTED: "ended by Ctrl-C (SIGINT); `serve` and `worker` stop in order and return 0",
    TERMINATED: "`lab` or `race` was ended by SIGTERM; `serve` and `worker` stop in order and return 0",
}
