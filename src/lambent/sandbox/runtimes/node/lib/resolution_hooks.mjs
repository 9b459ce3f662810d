// The hooks of lib/resolution.js for a Node.js without synchronous ones (before 22.15): they run in a thread of their own.
import resolution from './resolution.js';

let resolver;

export function initialize(data) {
  resolver = new resolution.Resolver(data);
}

export async function resolve(specifier, context, next) {
  const mapped = resolver.map(specifier, context.parentURL);
  try {
    return await next(mapped, context);
  } catch (error) {
    for (const parentURL of resolver.otherParents(mapped, error)) {
      try {
        return await next(mapped, { ...context, parentURL });
      } catch {
        continue;
      }
    }
    throw error;
  }
}
