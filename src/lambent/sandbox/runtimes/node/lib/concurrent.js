// Several events at once: threads as AWS's runtime for managed instances has them, in each an event loop that interleaves
// its share of the events. Every event that may run has a channel of its own (sandbox/places.py), and what belongs to an
// event - its request id in logs, its output, what InvokeStore knows - is found by asynchronous context.
'use strict';

const { AsyncLocalStorage } = require('async_hooks');
const worker = require('worker_threads');
const awslambda = require('./awslambda');
const { openChannel } = require('./channel');
const { EventLoop } = require('./events');
const logs = require('./logs');

const environ = process.env;
const THREADS_PER_CPU = 8;

/** How many threads share `places` events. Throws an Error for a count that is none. */
function threadCount(places) {
  const wanted = environ.AWS_LAMBDA_NODEJS_WORKER_COUNT;
  if (!wanted) return Math.min(places, THREADS_PER_CPU * require('os').availableParallelism());
  if (!/^[1-9][0-9]*$/.test(wanted)) throw new Error(`AWS_LAMBDA_NODEJS_WORKER_COUNT is no number of workers: ${wanted}`);
  return Math.min(places, Number(wanted));
}

/** Run up to AWS_LAMBDA_MAX_CONCURRENCY events at a time. `channel` is the process's own, for what it prints itself. */
function start(channel) {
  const places = Number(environ.AWS_LAMBDA_MAX_CONCURRENCY);
  let threads;
  try {
    threads = threadCount(places);
  } catch (error) {
    logs.error('Init Error', error);
    channel.sendInitError(require('./errors').describe(error));
    process.exit(1);
  }
  if (threads === 1) {
    serve(places);
    return;
  }
  for (let number = 0; number < threads; number++) {
    const share = Math.floor(places / threads) + (number < places % threads ? 1 : 0);
    const thread = new worker.Worker(__filename, { workerData: { lambentPlaces: share } });
    // One thread that ends takes the process with it, as an error that nobody catches does with one thread.
    thread.on('exit', (status) => process.exit(status));
    thread.on('error', (error) => {
      logs.error('Uncaught Exception', error);
      process.exit(129);
    });
  }
}

/** In one thread: open a channel for each of `places` events, load the handler, and take events. */
async function serve(places) {
  const storage = new AsyncLocalStorage(); // of {invocation, channel, loop, context} of the running event
  const channels = await Promise.all(Array.from({ length: places }, () => openChannel(environ.AWS_LAMBDA_RUNTIME_API)));
  const [first] = channels;
  const current = () => storage.getStore()?.channel ?? first;
  first.captureOutput((data) => current().output(data));
  logs.install({ log: (text) => current().log(text) });
  logs.follow(() => storage.getStore()?.invocation ?? null);
  let loaded = false;

  function die(status, label, error) {
    const loop = storage.getStore()?.loop;
    logs.error(label, error);
    if (!loaded) first.sendInitError(require('./errors').describe(error));
    else if (loop) loop.abort(error, status);
    process.exit(status);
  }
  process.removeAllListeners('uncaughtException');
  process.removeAllListeners('unhandledRejection');
  process.on('uncaughtException', (error) => die(129, 'Uncaught Exception', error));
  process.on('unhandledRejection', (reason, promise) => {
    const { UnhandledPromiseRejection } = require('./errors');
    die(128, 'Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise));
  });
  awslambda.install(false, storage);
  try {
    const handler = await require('./handler').load(environ.LAMBDA_TASK_ROOT, environ._HANDLER);
    awslambda.refuseCallback(handler, true);
    const streaming = awslambda.isStreaming(handler);
    loaded = true;
    for (const channel of channels) {
      const loop = new EventLoop(channel, handler, { callbacks: false, streaming, storage });
      channel.sendReady();
      loop.next();
    }
  } catch (error) {
    logs.error('Init Error', error);
    first.sendInitError(require('./errors').describe(error));
    process.exit(1);
  }
}

if (!worker.isMainThread && worker.workerData?.lambentPlaces) serve(worker.workerData.lambentPlaces);

module.exports = { start };
