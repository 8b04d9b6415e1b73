"""What of the Helm chart follows from other files; `python -m deploy.chart.build` writes it."""
