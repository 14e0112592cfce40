"""Results as a page to look at: `report.html`, which opens anywhere and asks for nothing from anywhere."""

from hoprior.results.report.folder import index_of, page_of, write_report

__all__ = ["index_of", "page_of", "write_report"]
