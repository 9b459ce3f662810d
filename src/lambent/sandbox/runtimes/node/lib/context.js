// The second argument of every handler (AWS documentation, "Using the Lambda context object", Node.js).
'use strict';

const environ = process.env;

/** Add to `context` what is known of the event and the function. Throws an Error for JSON that is none. */
function fill(context, invocation, legacy) {
  if (legacy) {
    addFunction(context);
    addEvent(context, invocation);
  } else {
    addEvent(context, invocation);
    context.xRayTraceId = invocation.traceId || undefined;
    addFunction(context);
  }
  return context;
}

function addFunction(context) {
  context.functionVersion = environ.AWS_LAMBDA_FUNCTION_VERSION;
  context.functionName = environ.AWS_LAMBDA_FUNCTION_NAME;
  context.memoryLimitInMB = environ.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  context.logGroupName = environ.AWS_LAMBDA_LOG_GROUP_NAME;
  context.logStreamName = environ.AWS_LAMBDA_LOG_STREAM_NAME;
}

function addEvent(context, invocation) {
  const deadlineMs = Number(invocation.deadlineMs);
  context.clientContext = parse(invocation.clientContext, 'ClientContext');
  context.identity = parse(invocation.cognitoIdentity, 'CognitoIdentity');
  context.invokedFunctionArn = invocation.arn;
  context.awsRequestId = invocation.requestId;
  context.tenantId = invocation.tenantId || undefined;
  context.getRemainingTimeInMillis = () => deadlineMs - Date.now();
}

function parse(text, name) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

module.exports = { fill };
