"""Ours: routeros-api installs a package of this name, which would stand in for a folder without this file."""
