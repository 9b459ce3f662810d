"""The pytest plugin of Lambent.

It is loaded in every pytest run of its users, so it imports nothing until a fixture is used.
"""
