"""What the files of a report are called: known without loading what writes them."""

REPORT_FILE = "report.md"
PAGE_FILE = "report.html"
