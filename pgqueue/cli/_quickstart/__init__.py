"""`pgqueue quickstart`, taken apart: `app` is what the workers run, `place` the database, `crew` the worker processes,
`run` the course of events with the kill in it, `audit` the counting afterwards, `report` what a person reads.
"""
