"""The rows of the dashboard on what happens behind the orders. Neighbours: `panels`, the rows before; `dashboard`."""

from tests.deploy.panels import Panel, grown, share

AUDIT = 'job="node", name="stockade-audit.service"'
TIMER = 'job="node", name="stockade-audit.timer"'
CPU = "stockade_process_cpu_seconds_total{@}"

ROWS: dict[str, tuple[Panel, ...]] = {
    "Payments": (
        Panel(
            "Answers of the gateway",
            "As they were recorded; UNKNOWN for each call without a definite answer.",
            "ops",
            {"{{outcome}}": grown("stockade_payments_total{@}", "outcome")},
        ),
        Panel(
            "Share without an answer",
            "UNKNOWN of all. Nobody knows whether the buyer was charged until the reconciler asked. "
            "Alert: StockadePaymentsUnknown.",
            "percentunit",
            {
                "share": share(
                    grown('stockade_payments_total{@, outcome="UNKNOWN"}'), grown("stockade_payments_total{@}")
                )
            },
            0.01,
            0.05,
        ),
        Panel(
            "Second charges",
            "In the time shown. The log names each: give it back at the gateway. Alert: StockadeSecondCharge.",
            "short",
            {"second charges": 'sum(increase(stockade_payments_total{@, outcome="SECOND_CHARGE"}[$__range]))'},
            0.5,
            1,
            "stat",
        ),
        Panel(
            "At the gateway",
            "Payments that wait for the gateway's reply now. They hold no connection and no lock.",
            "short",
            {"{{instance}}": 'sum by (instance) (stockade_waiting{@, where="gateway"})'},
            100,
            1_000,
        ),
        Panel(
            "Unresolved",
            "Open payments and refunds; of them those of another gateway; those for a person; refused refunds.",
            "short",
            {"{{what}}": "max by (what) (stockade_payments_unresolved{@})"},
            1,
            100,
        ),
        Panel(
            "Oldest open payment and refund",
            "0 when there is none. Alert: StockadePaymentsOpen.",
            "s",
            {"{{what}}": "max by (what) (stockade_payments_oldest_seconds{@})"},
            300,
            900,
        ),
    ),
    "Outbox and jobs": (
        Panel(
            "Events that wait",
            "In the outbox, for the relay and its sink; at most 100,000 are counted.",
            "short",
            {"waiting": 'max(stockade_events{@, state="waiting"})'},
            1_000,
            50_000,
        ),
        Panel(
            "Oldest event that waits",
            "0 when none does. Alert: StockadeEventsWait.",
            "s",
            {"{{state}}": "max by (state) (stockade_events_oldest_seconds{@})"},
            60,
            300,
        ),
        Panel(
            "Dead letters",
            "Events that the sink refuses: stockade dead-letters list. Alert: StockadeDeadLetters.",
            "short",
            {"dead": 'max(stockade_events{@, state="dead"})'},
            1,
            10,
            "stat",
        ),
        Panel(
            "Jobs behind",
            "How long the oldest thing has waited: sales to be counted, reservations to be ended (sweep). "
            "A gap: the database did not answer.",
            "s",
            {"{{exported_job}}": "max by (exported_job) (stockade_job_behind_seconds{@})"},
            30,
            60,
        ),
    ),
    "Kafka": (
        Panel(
            "Commands not decided",
            "In the topic, by partition; there under the strategy kafka only. Alert: StockadeWorkersBehind.",
            "short",
            {
                "partition {{partition}}": "max by (partition) (stockade_log_behind{@})",
                "all": "sum(max by (partition) (stockade_log_behind{@}))",
            },
            1_000,
            10_000,
        ),
        Panel(
            "Queued",
            "Commands that were answered 202, because the client did not wait or the time was over.",
            "ops",
            {"{{command}}": grown('stockade_commands_total{@, code="QUEUED"}', "command")},
        ),
    ),
    "Audit": (
        Panel(
            "Nightly audit",
            "Of stockade-audit.service, from the systemd collector of node_exporter. "
            "Red: an invariant is broken, or the audit could not run. Alert: StockadeAuditFailed.",
            "short",
            {"audit": f'max(node_systemd_unit_state{{{AUDIT}, state="failed"}})'},
            None,
            1,
            "stat",
            {"0": "in order", "1": "failed"},
        ),
        Panel(
            "Since the last audit",
            "From node_exporter as well. Alert: StockadeAuditLate, after 26 hours.",
            "s",
            {"age": f"time() - max(node_systemd_timer_last_trigger_seconds{{{TIMER}}})"},
            90_000,
            93_600,
            "stat",
        ),
    ),
    "Processes": (
        Panel(
            "Services up",
            "1 for each that Prometheus reaches. Alert: StockadeDown.",
            "short",
            {"{{instance}}": "up{@}"},
            kind="stat",
            values={"0": "down", "1": "up"},
        ),
        Panel(
            "Processes",
            "Serving processes of each service (setting workers), or 1 of a worker.",
            "short",
            {"{{instance}}": "sum by (instance) (stockade_processes{@})"},
        ),
        Panel(
            "Requests at work",
            "In each service now. At max_in_flight more are answered 429.",
            "short",
            {"{{instance}}": 'sum by (instance) (stockade_waiting{@, where="at_work"})'},
            2_000,
            4_000,
        ),
        Panel(
            "Processor time",
            "Cores used by each service. Near the number of its processes it is the processor that limits.",
            "short",
            {"{{instance}}": grown(CPU, "instance")},
        ),
        Panel(
            "Memory",
            "Resident, in sum of the processes of each service.",
            "bytes",
            {"{{instance}}": "sum by (instance) (stockade_process_resident_bytes{@})"},
        ),
        Panel(
            "Open files and connections",
            "For each process. The units set LimitNOFILE=12000. Alert: StockadeFiles.",
            "short",
            {"{{instance}}": "stockade_process_open_files{@} / stockade_processes{@}"},
            6_000,
            9_600,
        ),
        Panel(
            "Time of a scrape",
            "How long /metrics takes. It may wait two seconds for the database, once in five seconds.",
            "s",
            {"{{instance}}": "scrape_duration_seconds{@}"},
            2,
            5,
        ),
    ),
}
