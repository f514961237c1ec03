"""Recipes that ship, one TOML file each; `assay recipes` lists them."""
