"""Pictures and their objects in the layouts of other tools, one module for each.

Every ``write`` fills a folder that nobody else uses, and takes pictures whose names are safe and whose sizes are known.
A picture lies in every split that its ``splits`` name. Returned are the pictures that were written; ``found`` takes up
what was wrong with the others, and with masks. ``work`` goes through the pictures, in threads where a job says so; what
is written is the same.
"""
