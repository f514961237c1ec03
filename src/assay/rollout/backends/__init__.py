"""Engines that continue token ids. Importing this loads no torch; `local` does."""
