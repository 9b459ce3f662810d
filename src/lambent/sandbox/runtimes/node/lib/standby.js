// A process that was started before it is known for which function (see sandbox/standby.py).
//
// All that is ours is loaded meanwhile; the wait is one read that blocks, so no thread and no event loop has begun to
// work with what the function may still set.
'use strict';

const fs = require('fs');
const nodeModule = require('module');

function load() {
  for (const name of ['channel', 'logs', 'events', 'awslambda', 'handler', 'errors', 'context']) require('./' + name);
  for (const name of ['net', 'url', 'http', 'https', 'stream', 'crypto']) require(name);
}

/** Block until there is a function, then be its process, as if started with its variables in its folder. */
function wait(fd) {
  load();
  const head = fill(fd, Buffer.alloc(5));
  const { environment, folder } = JSON.parse(fill(fd, Buffer.alloc(head.readUInt32BE(1))).toString());
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name];
  Object.assign(process.env, environment);
  process.env._LAMBENT_CHANNEL_FD = String(fd);
  process.chdir(folder);
  nodeModule.Module._initPaths(); // NODE_PATH
}

function fill(fd, buffer) {
  let at = 0;
  while (at < buffer.length) {
    const size = fs.readSync(fd, buffer, at, buffer.length - at, null);
    if (size === 0) process.reallyExit(0); // the platform is gone
    at += size;
  }
  return buffer;
}

module.exports = { wait };
