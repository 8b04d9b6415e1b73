"""The blind-spot report: the same sections for every monitor, written as Markdown, HTML or JSON."""
