// One event after the other: hands each to the handler and sends what comes of it.
'use strict';

const awslambda = require('./awslambda');
const context = require('./context');
const logs = require('./logs');

const COMPILE_CACHE_DELAY_MS = 500;

function isPromise(value) {
  return typeof value?.then === 'function';
}

class EventLoop {
  /**
   * `callbacks`: the ways of the runtimes before nodejs24.x (a callback, context.done, waiting for an empty event loop).
   * `afterFirst` is run a while after the first event, when nobody waits for it. `storage` is for one of several loops
   * that interleave their events: asynchronous storage of which event is which.
   */
  constructor(channel, handler, { callbacks, streaming, afterFirst, storage = null }) {
    this.storage = storage;
    this.channel = channel;
    this.handler = handler;
    this.callbacks = callbacks;
    this.afterFirst = afterFirst;
    this.start = streaming ? this.startStreaming : callbacks ? this.startWithCallback : this.startPlain;
    this.isFirst = true;
    this.running = null; // {settled, stream} of the event that is running
    this.onEmpty = null; // what to do when the event loop has run empty
    if (storage !== null) return; // with others at work, an empty event loop says nothing about one of them
    process.on('beforeExit', () => {
      const onEmpty = this.onEmpty;
      this.onEmpty = null;
      if (onEmpty !== null) onEmpty();
    });
  }

  next() {
    this.running = null;
    this.onEmpty = null;
    this.channel.receive((invocation) => this.begin(invocation));
  }

  begin(invocation) {
    const run = { settled: null, stream: null };
    this.running = run;
    if (this.storage !== null) {
      const context = awslambda.contextOf(invocation);
      this.storage.run({ invocation, channel: this.channel, loop: this, context }, () => this.start(run, invocation));
      return;
    }
    logs.begin(invocation);
    if (invocation.traceId) process.env._X_AMZN_TRACE_ID = invocation.traceId;
    else delete process.env._X_AMZN_TRACE_ID;
    if (!this.callbacks) awslambda.begin(invocation);
    this.start(run, invocation);
  }

  /** The event is decided: send its answer in the next turn, which gives stray rejections of this one the precedence. */
  settle(run, send) {
    if (run.settled !== null || this.running !== run) return;
    run.settled = send;
    this.onEmpty = null;
    setImmediate(() => {
      if (this.running !== run) return;
      send();
      this.concluded();
    });
  }

  concluded() {
    if (this.isFirst) {
      this.isFirst = false;
      this.channel.openSocket();
      if (this.afterFirst) setTimeout(this.afterFirst, COMPILE_CACHE_DELAY_MS).unref();
    }
    this.next();
  }

  succeed(run, result) {
    this.settle(run, () => {
      let text;
      try {
        text = JSON.stringify(result === undefined ? null : result);
      } catch {
        const message = 'Unable to stringify response body';
        const { JSONStringifyError } = require('./errors');
        this.sendError(this.callbacks ? new Error(message) : new JSONStringifyError(message));
        return;
      }
      this.channel.sendAnswer(text ?? 'null');
    });
  }

  fail(run, error) {
    this.settle(run, () => this.sendError(error));
  }

  sendError(error) {
    logs.error('Invoke Error', error);
    this.channel.sendError(require('./errors').describe(error));
  }

  /** The process is about to end because of `error`: it is what becomes of the running event. */
  abort(error, status) {
    const run = this.running;
    if (run === null) return;
    this.running = null;
    const described = require('./errors').describe(error);
    this.channel.sendKeep();
    if (run.stream !== null) run.stream.fail(described);
    else if (run.settled !== null && this.callbacks) run.settled(); // too late to change the answer
    else this.channel.sendError(described);
  }

  startPlain(run, invocation) {
    try {
      const result = this.handler(JSON.parse(invocation.event), context.fill({}, invocation, false));
      if (isPromise(result)) {
        result.then(
          (value) => this.succeed(run, value),
          (error) => this.fail(run, error),
        );
      } else {
        this.succeed(run, result);
      }
    } catch (error) {
      this.fail(run, error);
    }
  }

  startWithCallback(run, invocation) {
    let waits = true;
    let called = false;
    const once = (work) => (...values) => {
      if (called || this.running !== run) return;
      called = true;
      work(...values);
    };
    const conclude = (error, result) => {
      if (error !== undefined && error !== null) this.fail(run, error);
      else this.succeed(run, result);
    };
    const callback = once((error, result) => {
      if ((error === undefined || error === null) && waits) this.onEmpty = () => this.succeed(run, result);
      else conclude(error, result);
    });
    const lambdaContext = {
      get callbackWaitsForEmptyEventLoop() {
        return waits;
      },
      set callbackWaitsForEmptyEventLoop(value) {
        waits = value;
      },
      succeed: once((result) => conclude(null, result)),
      fail: once((error) => conclude(error ?? 'handled')),
      done: once(conclude),
    };
    // A handler that lets the event loop run empty without an answer has answered null.
    this.onEmpty = () => {
      called = true;
      this.succeed(run, null);
    };
    try {
      const event = JSON.parse(invocation.event);
      const result = this.handler(event, context.fill(lambdaContext, invocation, this.callbacks), callback);
      if (isPromise(result)) result.then(lambdaContext.succeed, lambdaContext.fail);
    } catch (error) {
      callback(error ?? 'handled');
    }
  }

  startStreaming(run, invocation) {
    const { ResponseStream } = require('./streaming');
    const stream = new ResponseStream(this.channel, awslambda.highWaterMark(this.handler));
    run.stream = stream;
    let waits = this.callbacks;
    const lambdaContext = {};
    if (this.callbacks) {
      Object.defineProperty(lambdaContext, 'callbackWaitsForEmptyEventLoop', {
        configurable: true,
        enumerable: true,
        get: () => waits,
        set: (value) => {
          waits = value;
        },
      });
    }
    const fail = (error) => this.failStream(run, error);
    const text = (message) => (this.callbacks ? message : new Error(message));
    const finish = () => {
      if (this.running !== run) return;
      this.onEmpty = null;
      if (waits) this.onEmpty = () => setImmediate(() => this.ready(run));
      else this.ready(run);
    };
    const returned = (value) => {
      if (this.running !== run) return;
      if (value !== undefined) console.warn('Streaming handlers ignore return values.');
      if (stream.writableFinished) {
        finish();
        return;
      }
      // The end may be on its way; when nothing is left that could bring it, there will be none.
      stream.once('finish', finish);
      this.onEmpty = () => fail(text('Response stream is not finished.'));
    };
    stream.on('error', fail);
    try {
      const event = JSON.parse(invocation.event);
      const result = this.handler(event, stream, context.fill(lambdaContext, invocation, this.callbacks));
      if (isPromise(result)) result.then(returned, fail);
      else fail(text('Streaming does not support non-async handlers.'));
    } catch (error) {
      fail(error);
    }
  }

  failStream(run, error) {
    if (this.running !== run) return;
    logs.error('Invoke Error', error);
    const wasOpen = run.stream.fail(require('./errors').describe(error));
    if (!wasOpen) this.channel.sendReady();
    this.concluded();
  }

  /** A streamed answer is out and the handler is done. */
  ready(run) {
    if (this.running !== run) return;
    this.channel.sendReady();
    this.concluded();
  }
}

module.exports = { EventLoop };
