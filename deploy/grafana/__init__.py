"""The dashboards as code; `python -m deploy.grafana.build` writes them for the chart and the compose file."""
