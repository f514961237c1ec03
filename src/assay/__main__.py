"""`python -m assay`: the command line, for launchers that start modules."""

from assay.cli import main

main()
