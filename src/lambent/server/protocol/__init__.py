"""The AWS wire protocols, compiled once per operation from botocore's service models into plain closures."""

from lambent.server.protocol.error_renderer import render_error
from lambent.server.protocol.json_renderer import UnknownOutputMember
from lambent.server.protocol.operation import CompiledOperation
from lambent.server.protocol.service import CompiledService, ServiceModels
from lambent.server.protocol.shapes import ModelNotFound

__all__ = [
    "CompiledOperation",
    "CompiledService",
    "ModelNotFound",
    "ServiceModels",
    "UnknownOutputMember",
    "render_error",
]
