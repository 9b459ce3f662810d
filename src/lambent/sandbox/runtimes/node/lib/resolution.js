// What Node.js's own resolution of modules lacks: import maps, and NODE_PATH for `import`.
//
// An importmap.json beside the code is an import map as the HTML standard has it (imports and scopes; a key with `/` at its
// end is a prefix); beyond the standard a target may be a package's name. AWS looks for imported packages in NODE_PATH, too,
// where layers are. Loaded by functions that have an import map or layers.
'use strict';

const fs = require('fs');
const nodeModule = require('module');
const path = require('path');
const { fileURLToPath, pathToFileURL } = require('url');

/** Use the import map in this file, or none, and NODE_PATH. */
function install(mapFile) {
  const data = { mapFile, nodePath: (process.env.NODE_PATH || '').split(':').filter(Boolean) };
  if (nodeModule.registerHooks) nodeModule.registerHooks(hooks(new Resolver(data)));
  else nodeModule.register('./resolution_hooks.mjs', pathToFileURL(__filename).href, { data });
}

function hooks(resolver) {
  return {
    resolve(specifier, context, next) {
      let mapped = resolver.map(specifier, context.parentURL);
      if (mapped.startsWith('file:') && context.conditions?.includes('require')) mapped = fileURLToPath(mapped);
      try {
        return next(mapped, context);
      } catch (error) {
        for (const parentURL of resolver.otherParents(mapped, error)) {
          try {
            return next(mapped, { ...context, parentURL });
          } catch {
            continue;
          }
        }
        throw error;
      }
    },
  };
}

class Resolver {
  constructor({ mapFile, nodePath }) {
    this.nodePath = nodePath;
    this.imports = [];
    this.scopes = [];
    if (mapFile === null) return;
    const base = pathToFileURL(mapFile).href;
    const { imports = {}, scopes = {} } = parse(mapFile);
    this.imports = entries(imports, base);
    this.scopes = Object.entries(scopes)
      .map(([prefix, map]) => [new URL(prefix, base).href, entries(map, base)])
      .sort(([a], [b]) => b.length - a.length);
  }

  /** What the map makes of a specifier; the specifier itself where the map has nothing for it. */
  map(specifier, parentURL) {
    const relative = /^\.{0,2}\//.test(specifier);
    if (relative && !parentURL) return specifier;
    const key = relative ? new URL(specifier, parentURL).href : specifier;
    for (const [prefix, map] of this.scopes) {
      if (parentURL === prefix || (prefix.endsWith('/') && parentURL?.startsWith(prefix))) {
        const target = lookUp(map, key);
        if (target !== null) return target;
      }
    }
    return lookUp(this.imports, key) ?? specifier;
  }

  /** Where to look from instead, for a package that an import did not find. */
  otherParents(specifier, error) {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND' || /^[./#]|^[a-z]+:/.test(specifier)) return [];
    return this.nodePath
      .filter((folder) => path.basename(folder) === 'node_modules')
      .map((folder) => pathToFileURL(path.join(folder, '..', '_')).href);
  }
}

function parse(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`Cannot read the import map ${file}: ${error.message}`);
  }
}

/** [key, target] pairs, the longest key first. */
function entries(map, base) {
  const resolved = (text) => (/^\.{0,2}\//.test(text) ? new URL(text, base).href : text);
  return Object.entries(map)
    .map(([key, target]) => [resolved(key), target === null ? null : resolved(target)])
    .sort(([a], [b]) => b.length - a.length);
}

function lookUp(map, key) {
  for (const [prefix, target] of map) {
    if (target === null || !(key === prefix || (prefix.endsWith('/') && key.startsWith(prefix)))) continue;
    return target + key.slice(prefix.length);
  }
  return null;
}

module.exports = { install, Resolver };
