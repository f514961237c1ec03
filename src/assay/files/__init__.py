"""Files that are whole or not there, and lines of them: what everything on disk is written with."""
