"""CreateServiceLinkedRole: roles that belong to a service and that only it may change."""

from __future__ import annotations

import json
from typing import Final

from lambent.core.operations import Operation, Output, Params, Rejection, RequestContext
from lambent.iam import model, store
from lambent.iam.api.furniture import IAM, Parts
from lambent.iam.api.roles import describe_fully, insert_role
from lambent.iam.errors import InvalidInput
from lambent.iam.model import Role
from lambent.storage.database import Transaction

# Role names as in the services' own guides; the last part of `AWSServiceRoleFor...`.
NAMES: Final = {
    "apidestinations.events.amazonaws.com": "AmazonEventBridgeApiDestinations",
    "events.amazonaws.com": "CloudWatchEvents",
    "lambda.amazonaws.com": "Lambda",
    "lambda.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_LambdaConcurrency",
    "ops.apigateway.amazonaws.com": "APIGateway",
    "replicator.lambda.amazonaws.com": "LambdaReplicator",
    "schemas.amazonaws.com": "Schemas",
}


def operations(parts: Parts) -> list[Operation]:
    async def create(context: RequestContext, params: Params) -> Output:
        service = params["AWSServiceName"]
        if service not in NAMES:
            known = ", ".join(sorted(NAMES))
            raise InvalidInput(f"Service-linked roles of {service} are not supported; those of these are: {known}")
        name, path = f"AWSServiceRoleFor{NAMES[service]}", f"{model.SERVICE_LINKED_PATH}{service}/"
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
        scope = context.scope
        role = Role(
            name=name,
            path=path,
            role_id=model.entity_id("AROA", parts.new_id),
            arn=f"arn:{scope.partition}:iam::{scope.account}:role{path}{name}",
            created_at=parts.now_s(),
            trust_policy=json.dumps(trust),
            description=params.get("Description"),
        )

        def work(tx: Transaction, account: str) -> None:
            if store.role_name_taken(tx, account, name):
                raise InvalidInput(
                    f"Service role name {name} has been taken in this account, please try a different suffix."
                )
            insert_role(tx, account, role)

        await parts.change(context, work)
        described = describe_fully(role)
        del described["RoleLastUsed"], described["MaxSessionDuration"]
        return {"Role": described}

    return [
        Operation(
            service=IAM,
            name="CreateServiceLinkedRole",
            handler=create,
            enforced=("AWSServiceName", "Description"),
            rejected={"CustomSuffix": Rejection(reason="none of the supported services takes a suffix")},
            note="For the services " + ", ".join(sorted(NAMES)) + ". No service uses the role.",
        )
    ]
