"""A job's findings as COCO annotations, Parquet, overlays and HTML pages, and exports."""
