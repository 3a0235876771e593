"""Images and their objects in the layouts of other tools, one module for each.

Every ``write`` fills a folder that nobody else uses, and takes images whose names are safe and whose sizes are known.
An image lies in every split that its ``splits`` name. Returned are the images that were written; ``found`` takes up
what was wrong with the others, and with masks. ``work`` goes through the images, in threads where a job says so; what
is written is the same.
"""
