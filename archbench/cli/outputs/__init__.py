"""What `--json` prints: one class a command. Their JSON Schemas are in docs/schemas.

Fields are only ever added. A figure that is not a number is null. Keys of mappings and order of lists mean nothing
unless a field says so.
"""

from collections.abc import Mapping

OUTPUTS: Mapping[str, tuple[str, str]] = {
    "status": ("list", "archbench.cli.outputs.runs:ScanStatus"),
    "runs-list": ("list", "archbench.cli.outputs.runs:RunRow"),
    "runs-show": ("one", "archbench.cli.outputs.runs:RunOutput"),
    "runs-prune": ("one", "archbench.cli.outputs.runs:PruneOutput"),
    "plan": ("one", "archbench.cli.outputs.plans:PlanOutput"),
    "plan-next": ("one", "archbench.answers.outputs.analysis:NextOutput"),
    "specs-list": ("list", "archbench.cli.outputs.plans:SpecRow"),
    "data": ("one", "archbench.cli.outputs.plans:DataOutput"),
    "text-list": ("one", "archbench.cli.outputs.plans:StandardTextOutput"),
    "compare": ("one", "archbench.answers.outputs.comparisons:CompareOutput"),
    "fit": ("one", "archbench.answers.outputs.analysis:FitOutput"),
    "fit-allocation": ("one", "archbench.answers.outputs.analysis:AllocationOutput"),
    "forecast": ("one", "archbench.answers.outputs.analysis:ForecastOutput"),
    "forecast-scan": ("one", "archbench.answers.outputs.analysis:ScanForecastOutput"),
    "forecast-transfer": ("one", "archbench.answers.outputs.analysis:TransferForecastOutput"),
    "report": ("one", "archbench.answers.outputs.comparisons:ReportOutput"),
    "leaderboard": ("one", "archbench.cli.outputs.leaderboard:LeaderboardOutput"),
    "leaderboard-check": ("one", "archbench.cli.outputs.leaderboard:SubmissionOutput"),
    "plugins-list": ("one", "archbench.cli.outputs.plugins:PluginsOutput"),
    "plugins-show": ("one", "archbench.cli.outputs.plugins:PluginOutput"),
    "plugins-check": ("one", "archbench.cli.outputs.plugins:CheckOutput"),
    "doctor": ("list", "archbench.cli.outputs.plugins:Finding"),
    "export": ("one", "archbench.cli.outputs.runs:ExportOutput"),
}
"""Name of a command's output -> whether it is one object or a list of them, and its class."""
