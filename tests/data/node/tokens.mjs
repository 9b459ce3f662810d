import { BedrockRuntimeClient, InvokeModelWithResponseStreamCommand } from "@aws-sdk/client-bedrock-runtime";
const bedrock = new BedrockRuntimeClient({ region: "us-east-1" });
// awslambda.streamifyResponse wraps the handler to enable streaming
export const handler = awslambda.streamifyResponse(async (event, responseStream, context) => {
const { prompt, tenantId } = JSON.parse(event.body);
// Write headers first (HTTP chunked transfer encoding)
const metadata = awslambda.HttpResponseStream.from(responseStream, {
statusCode: 200,
headers: {
"Content-Type": "text/event-stream",
"X-Tenant-ID": tenantId,
"Cache-Control": "no-cache"
}
});
const command = new InvokeModelWithResponseStreamCommand({
modelId: "anthropic.claude-3-5-sonnet-20241022-v2:0",
contentType: "application/json",
body: JSON.stringify({
messages: [{ role: "user", content: prompt }],
max_tokens: 2048,
anthropic_version: "bedrock-2023-05-31"
})
});
const response = await bedrock.send(command);
for await (const chunk of response.body) {
if (chunk.chunk?.bytes) {
const decoded = JSON.parse(Buffer.from(chunk.chunk.bytes).toString("utf-8"));
if (decoded.type === "content_block_delta" && decoded.delta?.text) {
// Stream token to client in real-time
metadata.write(`data: ${JSON.stringify({ token: decoded.delta.text })}
`);
}
}
}
metadata.end();
});
