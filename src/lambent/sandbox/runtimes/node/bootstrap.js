// Runs one Node.js function: AWS's Node.js runtime over the platform's framed socket.
//
// This program runs inside the environment, on any Node.js from 20 on, and depends on nothing but Node.js. What most
// events do not need (errors, streams, sockets) is loaded when it is asked for: each module costs a start its part.
'use strict';

const environ = process.env;
if (environ._LAMBENT_STANDBY) require('./lib/standby').wait(3);

// Compiled code is kept from one environment of a function version to the next.
const compileCache = environ._LAMBENT_COMPILE_CACHE;
delete environ._LAMBENT_COMPILE_CACHE;
const nodeModule = require('module');
if (compileCache && !environ.NODE_COMPILE_CACHE && nodeModule.enableCompileCache) {
  nodeModule.enableCompileCache(compileCache);
}

const { Channel } = require('./lib/channel');
const logs = require('./lib/logs');
const { EventLoop } = require('./lib/events');

const channel = new Channel(Number(environ._LAMBENT_CHANNEL_FD));
delete environ._LAMBENT_CHANNEL_FD;
channel.captureOutput();
logs.install(channel);
if (environ.AWS_LAMBDA_MAX_CONCURRENCY !== undefined) {
  require('./lib/concurrent').start(channel);
  return;
}

// The function's own runtime identifier decides how it is treated, whichever Node.js stands in for it.
const version = /^AWS_Lambda_nodejs(\d+)\./.exec(environ.AWS_EXECUTION_ENV || '');
// Callbacks, context.done and waiting for an empty event loop ended with nodejs24.x.
const callbacks = version !== null && Number(version[1]) < 24;
logs.withoutRequest(callbacks ? 'undefined' : '-');

let events = null; // once the handler is loaded

function die(status, label, error) {
  const errors = require('./lib/errors');
  logs.error(label, error);
  if (events === null) channel.sendInitError(errors.describe(error));
  else events.abort(error, status);
  process.exit(status);
}

process.on('uncaughtException', (error) => die(129, 'Uncaught Exception', error));
process.on('unhandledRejection', (reason, promise) => {
  const { UnhandledPromiseRejection } = require('./lib/errors');
  die(128, 'Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise));
});

require('./lib/awslambda').install(callbacks);

function started(handler) {
  const { isStreaming, refuseCallback } = require('./lib/awslambda');
  if (!callbacks) refuseCallback(handler);
  if (isStreaming(handler)) channel.openSocket(); // a slow reader must not block the handler
  events = new EventLoop(channel, handler, {
    callbacks,
    streaming: isStreaming(handler),
    afterFirst: compileCache && nodeModule.flushCompileCache,
  });
  channel.sendReady();
  events.next();
}

function failed(error) {
  logs.error(callbacks ? 'Uncaught Exception' : 'Init Error', error);
  channel.sendInitError(require('./lib/errors').describe(error));
  process.exit(callbacks ? 129 : 1);
}

const debugPort = Number(environ._LAMBENT_DEBUG_PORT || 0);
delete environ._LAMBENT_DEBUG_PORT;
if (debugPort) {
  const inspector = require('inspector');
  inspector.open(debugPort, '127.0.0.1');
  inspector.waitForDebugger();
}

require('./lib/handler')
  .load(environ.LAMBDA_TASK_ROOT, environ._HANDLER)
  .then(started)
  .catch(failed);
