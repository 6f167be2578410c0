# Generated from pgqueue/_async/__init__.py by pgqueue/_async/generate.py: change it there.
