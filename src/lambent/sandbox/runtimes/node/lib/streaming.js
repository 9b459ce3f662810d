// The stream that a streaming handler writes its answer to. Loaded by functions that stream.
'use strict';

const { Writable } = require('stream');

const FRAME_BYTES = 1 << 20;
const INTEGRATION_TYPE = 'application/vnd.awslambda.http-integration-response';
const DELIMITER_BYTES = 8;

class ResponseStream extends Writable {
  #channel;
  #contentType = 'application/octet-stream';
  #written = false; // the handler has written, perhaps not a byte is out yet
  #begun = false; // the head is out
  #ended = false; // so is the end

  constructor(channel, highWaterMark) {
    super({ highWaterMark });
    this.#channel = channel;
    this._onBeforeFirstWrite = undefined;
  }

  setContentType(contentType) {
    if (this.#written) {
      const { InvalidStreamingOperation } = require('./errors');
      throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    }
    this.#contentType = contentType;
  }

  write(chunk, encoding, callback) {
    this.#written = true;
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) chunk = JSON.stringify(chunk);
    return super.write(chunk, encoding, callback);
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === 'function') return super.end(chunk);
    if (chunk !== undefined && chunk !== null) this.write(chunk, typeof encoding === 'string' ? encoding : undefined);
    return super.end(typeof encoding === 'function' ? encoding : callback);
  }

  /** Send the head, and what is to come before the first byte. */
  #begin() {
    if (this.#begun) return;
    this.#begun = true;
    this.#channel.sendStreamHead(this.#contentType);
    if (typeof this._onBeforeFirstWrite === 'function') {
      this._onBeforeFirstWrite((data) => this.#channel.sendChunk(Buffer.from(data)));
    }
  }

  _write(chunk, _, done) {
    this.#begin();
    let at = 0;
    while (chunk.length - at > FRAME_BYTES) this.#channel.sendChunk(chunk.subarray(at, (at += FRAME_BYTES)));
    this.#channel.sendChunk(chunk.subarray(at), done);
  }

  /** The stream is over; the handler, which may still be working, is not. */
  _final(done) {
    this.#begin();
    this.#ended = true;
    this.#channel.sendKeep();
    this.#channel.sendStreamEnd();
    done();
  }

  /** End the answer with an error object, if its end is not out yet; whether it was not. */
  fail(error) {
    if (this.#ended) return false;
    if (this.#begun) this.#channel.sendStreamError(error);
    else this.#channel.sendError(error);
    // Whatever is still written goes nowhere.
    this._write = (_, __, done) => done();
    this._final = (done) => done();
    this.on('error', () => {});
    this.destroy();
    return true;
  }
}

/** A stream with status code, headers and cookies before it, for function URLs and API Gateway. */
class HttpResponseStream {
  static from(stream, prelude) {
    stream.setContentType(INTEGRATION_TYPE);
    const text = JSON.stringify(prelude);
    stream._onBeforeFirstWrite = (write) => {
      write(text);
      write(new Uint8Array(DELIMITER_BYTES));
    };
    return stream;
  }
}

module.exports = { ResponseStream, HttpResponseStream };
