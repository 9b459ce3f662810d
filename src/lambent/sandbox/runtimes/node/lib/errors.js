// Errors as AWS's Node.js runtime words them, for the caller and for the log. Loaded when there is one.
'use strict';

const { isNativeError } = require('util').types;

function kind(name) {
  const type = class extends Error {};
  Object.defineProperty(type, 'name', { value: name });
  type.prototype.name = `Runtime.${name}`;
  return type;
}

class UnhandledPromiseRejection extends kind('UnhandledPromiseRejection') {
  constructor(reason, promise) {
    super(String(reason));
    this.reason = reason;
    this.promise = promise;
  }
}

/** The error object that the caller gets. */
function describe(error) {
  try {
    if (isNativeError(error) || looksLikeError(error)) {
      return {
        errorType: printable(error.name),
        errorMessage: printable(error.message),
        trace: printable(error.stack ?? '').split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, ' +
        'name, and stack',
      trace: [],
    };
  }
}

function looksLikeError(value) {
  return [value?.name, value?.message, value?.stack].every((part) => typeof part === 'string' && part !== '');
}

function printable(text) {
  return String(text).replaceAll('\x7f', '%7F');
}

/** The JSON that follows the label in a text log. */
function detail(error) {
  try {
    return JSON.stringify(error, (_, value) => (value instanceof Error ? withFields(value) : value));
  } catch {
    return JSON.stringify(describe(error));
  }
}

function withFields(error) {
  const fields = { errorType: error.name, errorMessage: error.message, code: error.code, ...error };
  if (typeof error.stack === 'string') fields.stack = error.stack.split('\n');
  return fields;
}

module.exports = {
  describe,
  detail,
  UnhandledPromiseRejection,
  CallbackHandlerDeprecated: kind('CallbackHandlerDeprecated'),
  HandlerNotFound: kind('HandlerNotFound'),
  ImportModuleError: kind('ImportModuleError'),
  InvalidStreamingOperation: kind('InvalidStreamingOperation'),
  JSONStringifyError: kind('JSONStringifyError'),
  MalformedHandlerName: kind('MalformedHandlerName'),
  MalformedStreamingHandler: kind('MalformedStreamingHandler'),
  UserCodeSyntaxError: kind('UserCodeSyntaxError'),
};
