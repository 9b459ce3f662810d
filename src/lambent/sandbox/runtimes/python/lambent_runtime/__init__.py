"""The parts of the Python runtime. Works on CPython 3.8 and later; imports nothing but the standard library."""
