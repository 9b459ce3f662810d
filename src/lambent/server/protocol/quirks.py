"""What services do differently from what their models say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from lambent.server.protocol.aws_json import AwsJson
from lambent.server.protocol.aws_query import AwsQuery
from lambent.server.protocol.dialect import Dialect
from lambent.server.protocol.rest_json import RestJson
from lambent.server.protocol.rest_xml import RestXml
from lambent.server.protocol.rpc_v2_cbor import RpcV2Cbor
from lambent.server.protocol.shapes import ErrorTrait, ModelDocument, ModelNotFound, ShapeDef, ShapeRef

_DIALECTS: Mapping[str, Callable[[ModelDocument], Dialect]] = {
    "json": AwsJson,
    "query": AwsQuery,
    "rest-json": RestJson,
    "rest-xml": RestXml,
    "smithy-rpc-v2-cbor": RpcV2Cbor,
}

# Root elements (S3 API Reference, response syntax of each action) by output shape.
_S3_ROOTS = {
    "ListBucketsOutput": "ListAllMyBucketsResult",
    "ListObjectsOutput": "ListBucketResult",
    "ListObjectsV2Output": "ListBucketResult",
    "ListObjectVersionsOutput": "ListVersionsResult",
    "CreateMultipartUploadOutput": "InitiateMultipartUploadResult",
    "CompleteMultipartUploadOutput": "CompleteMultipartUploadResult",
    "ListPartsOutput": "ListPartsResult",
    "ListMultipartUploadsOutput": "ListMultipartUploadsResult",
    "DeleteObjectsOutput": "DeleteResult",
    "GetBucketLocationOutput": "LocationConstraint",
    "GetBucketAclOutput": "AccessControlPolicy",
    "GetObjectAclOutput": "AccessControlPolicy",
    "GetBucketVersioningOutput": "VersioningConfiguration",
    "GetBucketTaggingOutput": "Tagging",
    "GetObjectTaggingOutput": "Tagging",
    "GetBucketCorsOutput": "CORSConfiguration",
    "GetBucketWebsiteOutput": "WebsiteConfiguration",
    "GetBucketLifecycleConfigurationOutput": "LifecycleConfiguration",
    "GetBucketLoggingOutput": "BucketLoggingStatus",
    "GetBucketAccelerateConfigurationOutput": "AccelerateConfiguration",
    "GetBucketRequestPaymentOutput": "RequestPaymentConfiguration",
    "GetObjectAttributesOutput": "GetObjectAttributesResponse",
}

# SQS's query protocol left its model when the JSON protocol came (November 2023). These are its wire names, as the
# SQS API Reference of version 2012-11-05 shows them in its sample requests.
_SQS_ELEMENTS = {
    "AttributeNameList": "AttributeName",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "MessageAttributeNameList": "MessageAttributeName",
    "QueueUrlList": "QueueUrl",
    "MessageList": "Message",
    "TagKeyList": "TagKey",
    "AWSAccountIdList": "AWSAccountId",
    "ActionNameList": "ActionName",
    "StringList": "StringListValue",
    "BinaryList": "BinaryListValue",
    "SendMessageBatchRequestEntryList": "SendMessageBatchRequestEntry",
    "SendMessageBatchResultEntryList": "SendMessageBatchResultEntry",
    "DeleteMessageBatchRequestEntryList": "DeleteMessageBatchRequestEntry",
    "DeleteMessageBatchResultEntryList": "DeleteMessageBatchResultEntry",
    "ChangeMessageVisibilityBatchRequestEntryList": "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityBatchResultEntryList": "ChangeMessageVisibilityBatchResultEntry",
    "BatchResultErrorEntryList": "BatchResultErrorEntry",
    "ListMessageMoveTasksResultEntryList": "ListMessageMoveTasksResultEntry",
}
_SQS_MAPS = {  # entry, key, value
    "QueueAttributeMap": ("Attribute", "Name", "Value"),
    "MessageSystemAttributeMap": ("Attribute", "Name", "Value"),
    "MessageBodyAttributeMap": ("MessageAttribute", "Name", "Value"),
    "MessageBodySystemAttributeMap": ("MessageSystemAttribute", "Name", "Value"),
    "TagMap": ("Tag", "Key", "Value"),
}
_SQS_QUERY_CODES = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}


def dialects_of(name: str, model: ModelDocument) -> dict[str, Dialect]:
    """The protocols that we speak of a service, preferred first. Raises ModelNotFound if there is none."""
    if name == "sqs":
        _name_sqs_errors(model)
        return {
            "json": AwsJson(model, error_namespace="com.amazonaws.sqs"),
            "query": AwsQuery(_sqs_query_model(model), path_member="QueueUrl", detail=True),
        }
    if name == "s3":
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        unwrapped = frozenset({"GetBucketLocationOutput"})
        return {"rest-xml": RestXml(model, namespace=namespace, roots=_S3_ROOTS, unwrapped=unwrapped, bare_errors=True)}
    offered = model.metadata.protocols or (model.metadata.protocol,)
    dialects = {protocol: _DIALECTS[protocol](model) for protocol in offered if protocol in _DIALECTS}
    if not dialects:
        raise ModelNotFound(f"{name} speaks only {', '.join(offered)}")
    return dialects


def _name_sqs_errors(model: ModelDocument) -> None:
    """Give the exceptions the query codes that the model has lost, and add the two that it never had."""
    message = {"message": ShapeRef(shape="String")}
    for name, code in _SQS_QUERY_CODES.items():
        known = model.shapes.get(name) or ShapeDef(type="structure", exception=True, members=message)
        if known.error is None or known.error.code is None:
            model.shapes[name] = msgspec.structs.replace(known, error=ErrorTrait(code=code))


def _sqs_query_model(model: ModelDocument) -> ModelDocument:
    """The model with the query protocol's wire names and namespace."""
    renamed = dict(model.shapes)
    for name, element in _SQS_ELEMENTS.items():
        definition = renamed[name]
        assert definition.member is not None
        member = msgspec.structs.replace(definition.member, location_name=element)
        renamed[name] = msgspec.structs.replace(definition, member=member, flattened=True)
    for name, (entry, key, value) in _SQS_MAPS.items():
        definition = renamed[name]
        assert definition.key is not None
        assert definition.value is not None
        renamed[name] = msgspec.structs.replace(
            definition,
            key=msgspec.structs.replace(definition.key, location_name=key),
            value=msgspec.structs.replace(definition.value, location_name=value),
            location_name=entry,
            flattened=True,
        )
    metadata = msgspec.structs.replace(
        model.metadata, xml_namespace=f"http://queue.amazonaws.com/doc/{model.metadata.api_version}/"
    )
    return ModelDocument(metadata=metadata, operations=model.operations, shapes=renamed)
