// From a handler's name to its function (AWS documentation, "Define Lambda function handler in Node.js").
'use strict';

const fs = require('fs');
const path = require('path');

/** The function that `name` ("folder/module.function") names. Throws errors of lib/errors and what the import throws. */
async function load(taskRoot, name) {
  if (name.includes('..')) {
    const { MalformedHandlerName } = require('./errors');
    throw new MalformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const base = path.basename(name);
  const dot = base.indexOf('.');
  if (dot < 0) {
    const { MalformedHandlerName } = require('./errors');
    throw new MalformedHandlerName('Bad handler');
  }
  const folder = path.resolve(taskRoot, name.slice(0, name.indexOf(base)));
  prepareResolution(taskRoot);
  let loaded;
  try {
    loaded = await loadModule(taskRoot, folder, base.slice(0, dot));
  } catch (error) {
    throw explain(error);
  }
  return find(loaded, base.slice(dot + 1), name);
}

/** An import map and layers for ES modules need hooks in the resolution of modules; others are spared them. */
function prepareResolution(taskRoot) {
  const map = path.join(taskRoot, 'importmap.json');
  const mapped = fs.existsSync(map);
  const layers = process.env._LAMBENT_LAYERS === '1';
  delete process.env._LAMBENT_LAYERS;
  if (mapped || layers) require('./resolution').install(mapped ? map : null);
}

/** Plain file, .js, .mjs, .cjs, and then as `require` from the function's folder would look for it. */
async function loadModule(taskRoot, folder, module) {
  const file = path.join(folder, module);
  if (isFile(file)) return require(file);
  if (isFile(file + '.js')) {
    return isModuleScope(folder, taskRoot) ? importFile(file + '.js') : requireFile(file + '.js');
  }
  if (isFile(file + '.mjs')) return importFile(file + '.mjs');
  if (isFile(file + '.cjs')) return require(file + '.cjs');
  return require(require.resolve(module, { paths: [taskRoot, folder] }));
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function importFile(file) {
  return import(require('url').pathToFileURL(file).href);
}

/** `require` also takes ES modules where Node.js recognises them by their syntax, but not those that await at the top. */
function requireFile(file) {
  try {
    return require(file);
  } catch (error) {
    if (error?.code === 'ERR_REQUIRE_ASYNC_MODULE') return importFile(file);
    throw error;
  }
}

/** Whether the nearest package.json, not above the package itself, makes .js files ES modules. */
function isModuleScope(folder, taskRoot) {
  for (;;) {
    if (!folder.endsWith('/node_modules')) {
      let text = null;
      try {
        text = fs.readFileSync(path.join(folder, 'package.json'), 'utf8');
      } catch {
        // No file: the one above counts.
      }
      if (text !== null) {
        try {
          return JSON.parse(text)?.type === 'module';
        } catch (error) {
          console.warn(`${folder}/package.json cannot be read, it will be ignored for ES module detection.`, error);
          return false;
        }
      }
    }
    if (folder === taskRoot || folder === path.dirname(folder)) return false;
    folder = path.dirname(folder);
  }
}

function explain(error) {
  const errors = require('./errors');
  if (/^Cannot find (module|package) '(aws-sdk|@aws-sdk\/[^']*|@smithy\/[^']*)'/.test(error?.message)) {
    console.warn('lambent: the AWS SDK is part of the runtimes of AWS and not of this one: add it to the package or a layer');
  }
  if (error instanceof SyntaxError) {
    const wrapped = new errors.UserCodeSyntaxError(String(error));
    wrapped.stack = error.stack; // says which line
    return wrapped;
  }
  if (error?.code === 'MODULE_NOT_FOUND') return new errors.ImportModuleError(String(error));
  return error;
}

function find(loaded, nested, name) {
  const handler = walk(loaded, nested) || walk(loaded?.default, nested);
  if (typeof handler === 'function') return handler;
  const { HandlerNotFound } = require('./errors');
  throw new HandlerNotFound(`${name} is ${handler ? 'not a function' : 'undefined or not exported'}`);
}

function walk(value, nested) {
  for (const key of nested.split('.')) value = value?.[key];
  return value;
}

module.exports = { load };
