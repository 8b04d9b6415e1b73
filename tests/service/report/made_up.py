"""A report with everything that a section can hold, and text that wants to be more than text."""

from __future__ import annotations

import math

import numpy as np

from service.records import Measured
from service.report.parts import Bars, Column, Figure, Lines, Matrix, Missing, Report, Section, Standing, Table, Unit

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> \"q\" 'a' & | `<b>` [c](javascript:alert(3)) \u202e\x1b[31m\x00\nnext"
MADE = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""

_CLASSES = ("refund", "card lost", HOSTILE)

DRIFT = Section(
    "drift",
    "Drift",
    Standing.ACT,
    f"An alarm is open: new content on {HOSTILE}.",
    todo=f"Look at alarm a1: `driftgate explain a1`, of {HOSTILE}.",
    urgency=0.12,
    figures=(
        Figure("open alarms", 1.0, Unit.COUNT),
        Figure(f"effect {HOSTILE}", Measured(0.12, 0.1, 0.15)),
        Figure("not known yet", math.nan, Unit.SECONDS),
        Figure("half known", Measured(0.1, math.nan, math.nan)),
    ),
    tables=(
        Table(
            f"Open alarms {HOSTILE}",
            (Column("alarm"), Column("effect", Unit.SHARE), Column("since", Unit.TIME), Column("rows", Unit.COUNT), Column(HOSTILE)),
            (
                ("a1", Measured(0.12, 0.1, 0.15), MADE, 3, HOSTILE),
                (HOSTILE, None, math.nan, 40_000, 0.5),
                ("a3", Measured(-0.1, -0.2, 0.1), MADE, 0, math.inf),
            ),
            left_out=7,
        ),
    ),
    plots=(Bars(f"Effect by stream {HOSTILE}", {"all": Measured(0.12, 0.1, 0.15), HOSTILE: 0.3, "worse": Measured(-0.2, -0.3, -0.1)}),),
)
PERFORMANCE = Section(
    "performance",
    "Performance",
    Standing.WATCH,
    "Right in 87.1 % of 3,120.",
    todo="Look at locale=de.",
    urgency=np.float64(0.03),
    figures=(
        Figure("accuracy", np.float64(0.871)),
        Figure("judged", np.float64(3_120), Unit.COUNT),
        Figure("gap", Measured(np.float64(0.1), np.float64(0.0), np.float64(0.2))),
    ),
    plots=(
        Matrix("Confusion", _CLASSES, _CLASSES, ((48, 0, 2), (1, 30_000, 0), (0, 0, 0))),
        Lines(
            "Calibration", "confidence", "right", {"all": ((0.2, 0.1), (0.9, 0.8)), HOSTILE: ((math.nan, 0.1), (0.5, 0.5))}, diagonal=True
        ),
        Lines("Accuracy by day", "day", HOSTILE, {"all": ((0.0, 12.0), (30.0, 14.0))}),
    ),
)
QUALITY = Section("data_quality", "Data quality", Standing.FINE, "Nothing stands out.")
LEAKAGE = Section(
    "leakage",
    "Leakage",
    Standing.UNKNOWN,
    "Not known: there is no golden set.",
    missing=(
        Missing("golden set", "there is none", "driftgate dataset add --monitor chat --role golden --input FILE"),
        Missing(HOSTILE, HOSTILE, HOSTILE),
    ),
)

FULL = Report("chat", MADE, 3, (DRIFT, QUALITY, LEAKAGE, PERFORMANCE), {"reference": "version 3, 1,200 rows", "train": HOSTILE})
EMPTY = Report("quiet", MADE, None, (), {})
