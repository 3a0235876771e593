"""``python -m jaxloc``: the command without its script."""

from jaxloc.cli import main

if __name__ == "__main__":
    main()
