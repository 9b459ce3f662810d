// The runtime's end of the framed socket (sandbox/framed.py documents the frames) and the output that goes through it.
//
// Reading: the first event comes by a read on a thread of libuv's pool, because loading `net` would take a good part of a
// cold start; afterwards the descriptor is a socket of the event loop, which is quicker for each event. Either keeps the
// event loop alive only while an event is awaited, so that "the loop is empty" says something about the handler.
//
// Writing is synchronous as long as the platform keeps up, so that nothing said before a crash is lost. What does not fit
// waits in `pending`, in order, and goes out by and by.
'use strict';

const fs = require('fs');

const READ_BYTES = 65536;
const LOG_BYTES = 262143; // the largest event of CloudWatch Logs with its line end; no frame of output is larger
const PENDING_LOG_BYTES = 1 << 20;
const MAX_RETRY_MS = 16;

class Invocation {
  constructor(fields, event) {
    [
      this.requestId,
      this.deadlineMs,
      this.arn,
      this.traceId,
      this.tenantId,
      this.contentType,
      this.cognitoIdentity,
    ] = fields;
    // What others choose goes last and may hold a NUL.
    this.clientContext = fields.length > 8 ? fields.slice(7).join('\0') : fields[7];
    this.event = event;
  }
}

function head(kind, size) {
  const frame = Buffer.allocUnsafe(5 + size);
  frame[0] = kind;
  frame.writeUInt32BE(size, 1);
  return frame;
}

const channels = []; // of this process or thread

class Channel {
  constructor(fd) {
    this.fd = fd;
    this.socket = null;
    this.buffer = Buffer.allocUnsafe(READ_BYTES);
    this.frame = null; // of an event that comes in several portions
    this.filled = 0;
    this.onEvent = null;
    this.pending = [];
    this.pendingBytes = 0;
    this.retryMs = 1;
    this.exiting = false;
    if (channels.push(this) > 1) return;
    process.on('exit', () => {
      for (const channel of channels) {
        channel.exiting = true;
        channel.flush();
      }
    });
  }

  // Reading.

  /** Call `onEvent` with the next Invocation; the process ends when the platform is gone. */
  receive(onEvent) {
    this.onEvent = onEvent;
    if (this.socket !== null) {
      this.socket.ref();
      return;
    }
    fs.read(this.fd, this.buffer, 0, READ_BYTES, null, (error, size) => {
      if (error || size === 0) process.reallyExit(0);
      this.take(this.buffer, size);
      while (this.frame !== null) {
        const more = fs.readSync(this.fd, this.buffer, 0, READ_BYTES, null);
        if (more === 0) process.reallyExit(0);
        this.take(this.buffer, more);
      }
    });
  }

  /** From now on the descriptor is read by the event loop, and no write blocks. */
  openSocket() {
    if (this.socket !== null) return;
    const { Socket } = require('net');
    this.use(new Socket({
      fd: this.fd,
      readable: true,
      writable: true,
      onread: {
        buffer: this.buffer,
        callback: (size, data) => {
          this.take(data, size);
          return true;
        },
      },
    }));
  }

  use(socket) {
    this.socket = socket;
    this.socket.on('close', () => process.reallyExit(0));
    this.socket.on('error', () => process.reallyExit(0));
    this.socket.unref();
  }

  take(data, size) {
    if (this.frame === null) {
      if (size >= 5) {
        const end = 5 + data.readUInt32BE(1);
        if (size >= end) {
          this.deliver(data.subarray(0, end));
          return;
        }
        this.frame = Buffer.allocUnsafe(end);
      } else {
        this.frame = Buffer.allocUnsafe(5);
      }
      this.filled = 0;
    }
    if (this.frame.length === 5) {
      // Not even the head was complete: how long the frame is comes now.
      const start = Buffer.concat([this.frame.subarray(0, this.filled), data.subarray(0, size)]);
      this.frame = null;
      if (start.length < 5) {
        this.frame = Buffer.allocUnsafe(5);
        this.filled = start.copy(this.frame);
        return;
      }
      this.take(start, start.length);
      return;
    }
    this.filled += data.copy(this.frame, this.filled, 0, size);
    if (this.filled === this.frame.length) {
      const frame = this.frame;
      this.frame = null;
      this.deliver(frame);
    }
  }

  deliver(frame) {
    const body = 9 + frame.readUInt32BE(5);
    const fields = frame.utf8Slice(9, body).split('\0');
    const invocation = new Invocation(fields, frame.utf8Slice(body, frame.length));
    const onEvent = this.onEvent;
    this.onEvent = null;
    if (this.socket !== null) this.socket.unref();
    onEvent(invocation);
  }

  // Writing.

  /** Send bytes, now as far as the platform takes them; `done` is called when they are out. */
  write(data, done) {
    if (this.pending.length === 0) {
      const sent = this.writeNow(data);
      if (sent === data.length) {
        if (done) done();
        return;
      }
      data = data.subarray(sent);
      setTimeout(() => this.retry(), this.retryMs);
    }
    this.pending.push([data, done]);
    this.pendingBytes += data.length;
    if (this.exiting) this.flush();
  }

  writeNow(data) {
    let sent = 0;
    try {
      while (sent < data.length) sent += fs.writeSync(this.fd, data, sent, data.length - sent);
    } catch (error) {
      if (error.code !== 'EAGAIN') process.reallyExit(0); // the platform is gone
    }
    return sent;
  }

  /** Send what waits, as much as is taken. */
  push() {
    while (this.pending.length > 0) {
      const [data, done] = this.pending[0];
      const sent = this.writeNow(data);
      this.pendingBytes -= sent;
      if (sent < data.length) {
        this.pending[0][0] = data.subarray(sent);
        return sent > 0;
      }
      this.pending.shift();
      if (done) done();
    }
    return true;
  }

  retry() {
    this.retryMs = this.push() ? 1 : Math.min(this.retryMs * 2, MAX_RETRY_MS);
    if (this.pending.length > 0) setTimeout(() => this.retry(), this.retryMs);
  }

  /** Send all that waits, however long it takes. */
  flush() {
    const never = new Int32Array(new SharedArrayBuffer(4));
    while (this.pending.length > 0) {
      this.push();
      if (this.pending.length > 0) Atomics.wait(never, 0, 0, 1);
    }
  }

  sendReady() {
    const frame = head(0x52, 4); // R
    frame.writeUInt32BE(peak(), 5);
    this.write(frame);
  }

  /** What the next answer leaves behind is not ready for another event: `sendReady` will say so. */
  sendKeep() {
    this.write(head(0x4b, 0)); // K
  }

  sendInitError(error) {
    this.write(typed(0x58, false, error.errorType, JSON.stringify(error))); // X
  }

  sendAnswer(text) {
    this.write(typed(0x41, true, 'application/json', text)); // A
  }

  sendError(error) {
    this.write(typed(0x45, true, error.errorType, JSON.stringify(error))); // E
  }

  sendStreamHead(contentType) {
    this.write(typed(0x48, false, contentType, '')); // H
  }

  sendChunk(chunk, done) {
    const frame = head(0x43, chunk.length); // C
    frame.set(chunk, 5);
    this.write(frame, done);
  }

  sendStreamEnd() {
    const frame = head(0x5a, 4); // Z
    frame.writeUInt32BE(peak(), 5);
    this.write(frame);
  }

  sendStreamError(error) {
    this.write(typed(0x42, true, error.errorType, JSON.stringify(error))); // B
  }

  /** Send one log record, which stays one event however many lines it has. */
  log(text) {
    this.portions(0x4c, Buffer.from(text)); // L
  }

  output(data) {
    this.portions(0x4f, data); // O
  }

  portions(kind, data) {
    for (let at = 0; at === 0 || at < data.length; at += LOG_BYTES) {
      const part = data.subarray(at, at + LOG_BYTES);
      const frame = head(kind, part.length);
      frame.set(part, 5);
      this.write(frame);
    }
    if (this.pendingBytes > PENDING_LOG_BYTES) this.flush(); // a handler that only prints never lets `retry` run
  }

  /** Make everything that is written to process.stdout and process.stderr go through the channel, or to `output`. */
  captureOutput(output = (data) => this.output(data)) {
    for (const name of ['stdout', 'stderr']) {
      const { get, enumerable } = Object.getOwnPropertyDescriptor(process, name);
      let stream = null; // making one takes a millisecond that most functions need not spend
      Object.defineProperty(process, name, {
        configurable: true,
        enumerable,
        get: () => {
          if (stream === null) {
            stream = get.call(process);
            stream._write = (chunk, encoding, done) => {
              output(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk);
              done();
            };
            stream._writev = null;
          }
          return stream;
        },
        set: (value) => {
          stream = value;
        },
      });
    }
  }
}

/** One more channel to the platform, for one of several events at once; `address` is the Runtime API's. */
function openChannel(address) {
  return new Promise((resolve, reject) => {
    const [host, port] = address.split(':');
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    let answer = '';
    let channel = null;
    const callback = (size, data) => {
      if (channel !== null) {
        channel.take(data, size);
        return true;
      }
      answer += data.latin1Slice(0, size);
      if (answer.endsWith('\r\n\r\n')) {
        if (answer.startsWith('HTTP/1.1 101 ')) {
          channel = new Channel(socket._handle.fd);
          channel.use(socket);
          resolve(channel);
        } else {
          reject(new Error(`the platform takes no more channels: ${answer}`));
        }
      }
      return true;
    };
    const socket = require('net').connect({ host, port: Number(port), noDelay: true, onread: { buffer, callback } });
    socket.once('error', reject);
    socket.write(
      'GET /lambent/channel HTTP/1.1\r\nHost: lambent\r\nConnection: Upgrade\r\nUpgrade: lambent-channel\r\n\r\n',
    );
  });
}

/** Largest resident size so far in KiB. */
function peak() {
  return process.resourceUsage().maxRSS;
}

/** A frame of [peak,] a text with its length before it, and a body. */
function typed(kind, withPeak, type, body) {
  const typeBytes = type.length < 65536 ? type : type.slice(0, 16000);
  const typeSize = Buffer.byteLength(typeBytes);
  const bodySize = Buffer.byteLength(body);
  const frame = head(kind, (withPeak ? 4 : 0) + 2 + typeSize + bodySize);
  let at = 5;
  if (withPeak) at = frame.writeUInt32BE(peak(), at);
  at = frame.writeUInt16BE(typeSize, at);
  at += frame.utf8Write(typeBytes, at, typeSize);
  if (bodySize > 0) frame.utf8Write(body, at, bodySize);
  return frame;
}

module.exports = { Channel, openChannel };
