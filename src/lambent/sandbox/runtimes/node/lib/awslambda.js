// The global `awslambda`, and what handlers carry because of it (AWS documentation, "Response streaming").
'use strict';

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const REQUEST_ID = Symbol.for('_AWS_LAMBDA_REQUEST_ID');
const TRACE_ID = Symbol.for('_AWS_LAMBDA_X_RAY_TRACE_ID');
const TENANT_ID = Symbol.for('_AWS_LAMBDA_TENANT_ID');
const PROTECTED = [REQUEST_ID, TRACE_ID, TENANT_ID];

/** What code of nodejs24.x on can ask about its event wherever it runs. One event at a time: no asynchronous storage. */
class InvokeStore {
  #context = undefined;

  run(context, work) {
    this.#context = context;
    return work();
  }

  getContext() {
    return this.#context;
  }

  hasContext() {
    return this.#context !== undefined;
  }

  get(key) {
    return this.#context?.[key];
  }

  set(key, value) {
    if (PROTECTED.includes(key)) throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    this.#context = this.#context ?? {};
    this.#context[key] = value;
  }

  getRequestId() {
    return this.get(REQUEST_ID) ?? '-';
  }

  getXRayTraceId() {
    return this.get(TRACE_ID);
  }

  getTenantId() {
    return this.get(TENANT_ID);
  }
}

/** The same where several events run at once: the asynchronous context tells which one it is. */
class ConcurrentInvokeStore extends InvokeStore {
  #storage;

  constructor(storage) {
    super();
    this.#storage = storage;
  }

  run(context, work) {
    return this.#storage.run({ ...this.#storage.getStore(), context }, work);
  }

  getContext() {
    return this.#storage.getStore()?.context;
  }

  hasContext() {
    return this.getContext() !== undefined;
  }

  get(key) {
    return this.getContext()?.[key];
  }

  set(key, value) {
    if (PROTECTED.includes(key)) throw new Error(`Cannot modify protected Lambda context field: ${String(key)}`);
    const context = this.getContext();
    if (context === undefined) throw new Error('No context available');
    context[key] = value;
  }
}

let store = new InvokeStore();

function streamifyResponse(handler, options) {
  handler[STREAMING] = 'response';
  if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  return handler;
}

/**
 * Make the global. `legacy` runtimes, before nodejs24.x, have no InvokeStore. `storage` keeps what belongs to an event,
 * as its `context`, where several run at once.
 */
function install(legacy, storage = null) {
  if (storage !== null) store = new ConcurrentInvokeStore(storage);
  if (['1', 'true'].includes(process.env.AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA)) return;
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse,
    get HttpResponseStream() {
      return require('./streaming').HttpResponseStream;
    },
  };
  if (!legacy) globalThis.awslambda.InvokeStore = store;
}

/** Note for the InvokeStore which event runs from now on. */
function begin(invocation) {
  store.run(contextOf(invocation), () => {});
}

/** What the InvokeStore knows of an event. */
function contextOf(invocation) {
  const context = { [REQUEST_ID]: invocation.requestId, [TRACE_ID]: invocation.traceId || undefined };
  if (invocation.tenantId) context[TENANT_ID] = invocation.tenantId;
  return context;
}

/** Whether the handler was given to streamifyResponse. Throws MalformedStreamingHandler for another mark. */
function isStreaming(handler) {
  const mark = handler[STREAMING];
  if (mark === undefined || mark === null || mark === false) return false;
  if (mark === 'response') return true;
  const { MalformedStreamingHandler } = require('./errors');
  throw new MalformedStreamingHandler('Only response streaming is supported.');
}

function highWaterMark(handler) {
  const mark = Number.parseInt(handler[HIGH_WATER_MARK], 10);
  return Number.isNaN(mark) ? undefined : mark;
}

/** Throws CallbackHandlerDeprecated for a handler with a third parameter; `concurrent`, because several events run. */
function refuseCallback(handler, concurrent = false) {
  if (handler.length < 3 || isStreaming(handler)) return;
  const { CallbackHandlerDeprecated } = require('./errors');
  if (concurrent) {
    throw new CallbackHandlerDeprecated(
      'ERROR: AWS Lambda does not support callback-based function handlers when using Node.js with Managed Instances. ' +
        'To use Managed Instances, modify this function to use a supported handler signature. ' +
        'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
    );
  }
  throw new CallbackHandlerDeprecated(
    'ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
      'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
      'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.',
  );
}

module.exports = { install, begin, contextOf, isStreaming, highWaterMark, refuseCallback };
