"""Write the reports of the monitoring of a model: the own one, and that of Evidently if it is asked for."""

import os
from pathlib import Path

from tiffin.artifacts.monitoring import Monitoring
from tiffin.report.monitoring import write_monitoring_report
from tiffin.stages.monitor.evidently import write_evidently
from tiffin.stages.monitor.monitoring import LOG_ROOT


def write_reports(
    report: str | Path, evidently_report: str | Path, monitoring: Monitoring, log_root: str, *, evidently: bool
) -> None:
    """Write both reports.

    Args:
        report: Path of the report, an HTML file.
        evidently_report: Path of Evidently's report, an HTML file.
        monitoring: Monitoring of a version.
        log_root: Root of the prediction log; empty for TIFFIN_LOG_ROOT.
        evidently: Whether Evidently's report is asked for; if not, its page tells how.
    """
    write_monitoring_report(report, monitoring)
    write_evidently(evidently_report, monitoring, log_root or os.environ.get(LOG_ROOT, ""), is_wanted=evidently)
