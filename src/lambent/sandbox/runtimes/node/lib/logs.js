// The console in AWS's formats (AWS documentation, "Log and monitor Node.js Lambda functions").
'use strict';

const { format } = require('util');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

let asJson = false;
let current = null; // the running channel.Invocation
let noRequest = '-';
let running = () => current;

/** Several events run at once: `find` gives the invocation to which what is logged now belongs, or null. */
function follow(find) {
  running = find;
}

/** What log lines have in the place of a request id before the first event. */
function withoutRequest(text) {
  noRequest = text;
}

function begin(invocation) {
  current = invocation;
}

function install(channel) {
  asJson = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const threshold = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase());
  const write = asJson ? jsonRecord : textRecord;
  LEVELS.forEach((level, number) => {
    console[level.toLowerCase()] =
      number < threshold ? () => {} : (first, ...rest) => channel.log(write(level, [first, ...rest]) + '\n');
  });
  console.log = console.info;
}

function textRecord(level, values) {
  const invocation = running();
  const id = invocation === null ? noRequest : invocation.requestId;
  const line = `${new Date().toISOString()}\t${id}\t${level}\t${format(...values)}`;
  return line.includes('\n') ? line.replaceAll('\n', '\r') : line;
}

function jsonRecord(level, values) {
  const record = { timestamp: new Date().toISOString(), level };
  const invocation = running();
  if (invocation !== null) record.requestId = invocation.requestId;
  else if (noRequest === '-') record.requestId = noRequest;
  if (invocation !== null && invocation.tenantId) record.tenantId = invocation.tenantId;
  if (values.length === 1) {
    record.message = values[0];
    try {
      return JSON.stringify(record, replaceError);
    } catch {
      record.message = format(values[0]); // a circle, a BigInt
      return JSON.stringify(record);
    }
  }
  record.message = format(...values);
  const error = values.find((value) => value instanceof Error);
  if (error !== undefined) Object.assign(record, errorFields(error));
  return JSON.stringify(record);
}

function errorFields(error) {
  return {
    errorType: error.constructor?.name ?? 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
  };
}

function replaceError(_, value) {
  return value instanceof Error ? Object.assign(errorFields(value), value) : value;
}

/** What the runtime itself says of an error: `Invoke Error` and the like. */
function error(label, value) {
  const wrapped = value instanceof Error ? value : new Error(String(value));
  if (asJson) console.error(wrapped);
  else console.error(label, '\t' + require('./errors').detail(wrapped));
}

module.exports = { install, begin, follow, withoutRequest, error };
