// Walks through every operation of SQS with the JavaScript SDK: node sqs_sdk.mjs ENDPOINT NAME
import assert from "node:assert/strict";
import * as sqs from "@aws-sdk/client-sqs";

const [endpoint, name] = process.argv.slice(2);
const client = new sqs.SQSClient({
  endpoint,
  region: "us-east-1",
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
  maxAttempts: 1,
});
const used = new Set();

function call(operation, input) {
  used.add(operation);
  return client.send(new sqs[`${operation}Command`](input));
}

async function until(condition) {
  for (let tries = 0; tries < 200; tries += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("it never came to be");
}

const { QueueUrl: dead } = await call("CreateQueue", { QueueName: `${name}-dead` });
const { Attributes: deadAttributes } = await call("GetQueueAttributes", { QueueUrl: dead, AttributeNames: ["QueueArn"] });
const deadArn = deadAttributes.QueueArn;
const { QueueUrl } = await call("CreateQueue", {
  QueueName: name,
  tags: { a: "1" },
  Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: deadArn, maxReceiveCount: 1 }) },
});
assert.equal((await call("GetQueueUrl", { QueueName: name })).QueueUrl, QueueUrl);
assert.deepEqual((await call("ListQueues", { QueueNamePrefix: name })).QueueUrls, [QueueUrl, dead]);
assert.deepEqual((await call("ListDeadLetterSourceQueues", { QueueUrl: dead })).queueUrls, [QueueUrl]);
await call("SetQueueAttributes", { QueueUrl, Attributes: { ReceiveMessageWaitTimeSeconds: "2" } });
await call("TagQueue", { QueueUrl, Tags: { b: "2" } });
await call("UntagQueue", { QueueUrl, TagKeys: ["a"] });
assert.deepEqual((await call("ListQueueTags", { QueueUrl })).Tags, { b: "2" });
await call("AddPermission", { QueueUrl, Label: "l", AWSAccountIds: ["222222222222"], Actions: ["SendMessage"] });
await call("RemovePermission", { QueueUrl, Label: "l" });

const MessageAttributes = { kind: { DataType: "Binary", BinaryValue: new Uint8Array([0, 255]) } };
const sent = await call("SendMessage", { QueueUrl, MessageBody: "héllo", MessageAttributes });
const { Messages: [message] } = await call("ReceiveMessage", {
  QueueUrl,
  MessageAttributeNames: ["All"],
  MessageSystemAttributeNames: ["All"],
});
assert.equal(message.MessageId, sent.MessageId);
assert.equal(message.Body, "héllo");
assert.deepEqual([...message.MessageAttributes.kind.BinaryValue], [0, 255]);
assert.equal(message.Attributes.ApproximateReceiveCount, "1");
const { ReceiptHandle } = message;
await call("ChangeMessageVisibility", { QueueUrl, ReceiptHandle, VisibilityTimeout: 60 });
await call("DeleteMessage", { QueueUrl, ReceiptHandle });

const Entries = [1, 2, 3].map((number) => ({ Id: `m${number}`, MessageBody: `body ${number}` }));
const batch = await call("SendMessageBatch", { QueueUrl, Entries });
assert.equal(batch.Successful.length, 3);
const { Messages: held } = await call("ReceiveMessage", { QueueUrl, MaxNumberOfMessages: 10 });
assert.equal(held.length, 3);
const changes = held.map((each) => ({ Id: each.MessageId, ReceiptHandle: each.ReceiptHandle, VisibilityTimeout: 0 }));
assert.equal((await call("ChangeMessageVisibilityBatch", { QueueUrl, Entries: changes })).Successful.length, 3);
assert.equal((await call("ReceiveMessage", { QueueUrl, WaitTimeSeconds: 0 })).Messages, undefined); // they die

const start = await call("StartMessageMoveTask", { SourceArn: deadArn, MaxNumberOfMessagesPerSecond: 1 });
await call("CancelMessageMoveTask", { TaskHandle: start.TaskHandle });
await until(async () => {
  const { Results } = await call("ListMessageMoveTasks", { SourceArn: deadArn });
  return Results[0].Status === "CANCELLED";
});

await call("SendMessageBatch", { QueueUrl, Entries });
const { Messages: last } = await call("ReceiveMessage", { QueueUrl, MaxNumberOfMessages: 10 });
const gone = last.map((each) => ({ Id: each.MessageId, ReceiptHandle: each.ReceiptHandle }));
assert.equal((await call("DeleteMessageBatch", { QueueUrl, Entries: gone })).Successful.length, gone.length);
await call("PurgeQueue", { QueueUrl });
await assert.rejects(call("PurgeQueue", { QueueUrl }), sqs.PurgeQueueInProgress);
await call("DeleteQueue", { QueueUrl });
await assert.rejects(call("GetQueueUrl", { QueueName: name }), sqs.QueueDoesNotExist);
console.log(JSON.stringify({ operations: used.size }));
