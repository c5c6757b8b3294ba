"""An Argo AnalysisRun as a program: it measures, counts, and ends or raises.

`run(analysis)` returns when every metric is Successful, raises `Abort` when the run is Failed or Error, and
`Inconclusive` when it is that. A program that is cancelled has ended as Argo's terminated run does: Successful.

Source: argoproj/argo-rollouts @9f8d111d8 `analysis/analysis.go` (generateMetricTasks, assessMetricStatus),
`utils/evaluate/evaluate.go`.
"""

from strategies.analysis.counters import ERROR_RETRY_SECONDS
from strategies.analysis.program import Analysis, ask, beside, run
from strategies.analysis.spec import Examiner, Metric, Phase, Script, Source
from strategies.metrics.conditions import OPERATORS, Condition, ConditionError, Expression

__all__ = [
    "ERROR_RETRY_SECONDS", "OPERATORS", "Analysis", "Condition", "ConditionError", "Examiner", "Expression", "Metric",
    "Phase", "Script", "Source", "ask", "beside", "run",
]  # fmt: skip
