"""Lambent runs the 2026 serverless stack on machines you own, behind the AWS APIs."""

__version__ = "0.1.0"
