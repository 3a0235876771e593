"""What a job found, for machines and people: COCO annotations, overlays, the HTML page."""
