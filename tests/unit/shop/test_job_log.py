"""What the log says of jobs: an outage once, its end once."""

from structlog.testing import capture_logs

from stockade.service import JobLog, Round
from stockade.shop.operations.logs import logger


def test_an_outage_is_two_lines():
    """Ten rounds that fail alike are one line, another reason another one, the end one; a round that did work one."""
    log, away = JobLog(logger()), ConnectionError("away")
    with capture_logs() as lines:
        for _ in range(10):
            log(Round("sweep", {}, away))
        log(Round("purge", {}, away))
        log(Round("sweep", {}, ConnectionError("other")))
        log(Round("sweep", {"found": 0}))
        log(Round("sweep", {"found": 0}))
        log(Round("sweep", {"found": 2}))
    said = [(each["event"], each["job"]) for each in lines]
    failed = [("job failed", "sweep"), ("job failed", "purge"), ("job failed", "sweep")]
    assert said == [*failed, ("job works again", "sweep"), ("job", "sweep")]
    assert lines[3]["failed_rounds"] == 11
