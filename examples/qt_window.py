"""
Qt: a window whose label a job updates.

    python examples/qt_window.py [--screenshot FILE]

Jobs run in threads, and only the thread of the window may touch it: a job emits a signal.
"""

from __future__ import annotations

import sys
from datetime import datetime

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QApplication, QLabel

from apscheduler.schedulers.qt import QtScheduler


class Clock(QLabel):
    """Shows the time of the last run."""

    ran = Signal(str)

    def __init__(self) -> None:
        super().__init__("waiting for the first run")
        self.setWindowTitle("A job each second")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setStyleSheet("font-size: 32px; padding: 24px")
        self.ran.connect(self.setText)

    def tick(self) -> None:
        """The job."""
        self.ran.emit(f"{datetime.now():%H:%M:%S}")


def main() -> None:
    app = QApplication(sys.argv[:1])
    clock = Clock()
    clock.show()
    if "--screenshot" in sys.argv:
        file = sys.argv[sys.argv.index("--screenshot") + 1]
        QTimer.singleShot(2500, lambda: (clock.grab().save(file), app.quit()))

    with QtScheduler() as scheduler:
        scheduler.add_job(clock.tick, "interval", seconds=1)
        app.exec()

    print(clock.text())


if __name__ == "__main__":
    main()
