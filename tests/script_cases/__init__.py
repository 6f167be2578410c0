"""Behaviours of scripts as data: cases.json (see cases.md), and the whole table of fallbacks, against real workers."""
