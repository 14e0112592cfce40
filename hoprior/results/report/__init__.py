"""Results as a page to look at: `report.html`, which opens anywhere and asks for nothing from anywhere."""

from hoprior.results.report.folder import page_of, write_report

__all__ = ["page_of", "write_report"]
