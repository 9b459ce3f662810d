"""Node.js: from the handler's name to its function, and what callers see when there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.sandbox.support import Bench, ask

MODERN, LEGACY = "nodejs24.x", "nodejs20.x"
ESM = "export const handler = async () => 'esm';"
CJS = "exports.handler = async () => 'cjs';"
ESM_PACKAGE = '{"type": "module"}'


async def call(bench: Bench, files: dict[str, str | bytes], runtime: str = MODERN, **options: Any) -> tuple[Any, Any]:
    return await bench.call(files, runtime=runtime, **options)


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({"h.js": CJS}, "cjs"),
        ({"h.cjs": CJS}, "cjs"),
        ({"h.mjs": ESM}, "esm"),
        ({"h.js": ESM, "package.json": ESM_PACKAGE}, "esm"),
        ({"h.js": CJS, "h.mjs": ESM, "h.cjs": "exports.handler = async () => 'late';"}, "cjs"),
        ({"h.mjs": ESM, "h.cjs": CJS}, "esm"),
        ({"h.js": ESM, "h.cjs": CJS, "package.json": ESM_PACKAGE}, "esm"),
        ({"h": CJS}, "cjs"),
        ({"h/index.js": CJS}, "cjs"),
        ({"node_modules/h/index.js": CJS}, "cjs"),
        ({"h.js": CJS, "package.json": "{}"}, "cjs"),
    ],
)
async def test_which_file_is_loaded(bench: Bench, runtime: str, files: dict[str, str | bytes], answer: str) -> None:
    assert await call(bench, files, runtime) == (None, answer)


@pytest.mark.parametrize(
    ("handler", "files"),
    [
        ("a/b/h.handler", {"a/b/h.js": CJS}),
        ("a/b/h.handler", {"a/b/h.mjs": "export const handler = async () => 'cjs';"}),
        ("h.deep.er.handler", {"h.js": "exports.deep = {er: {handler: async () => 'cjs'}};"}),
        ("h.handler", {"h.js": "module.exports = class { static async handler() { return 'cjs'; } };"}),
        ("h.handler", {"h.mjs": "export default {handler: async () => 'cjs'};"}),
    ],
)
async def test_nested_names(bench: Bench, handler: str, files: dict[str, str | bytes]) -> None:
    assert await call(bench, files, handler=handler) == (None, "cjs")


async def test_syntax_tells_es_modules_and_top_level_await(bench: Bench) -> None:
    assert await call(bench, {"h.js": ESM}) == (None, "esm")
    awaiting = "const word = await Promise.resolve('awaited'); export const handler = async () => word;"
    assert await call(bench, {"h.js": awaiting}) == (None, "awaited")
    assert await call(bench, {"h.mjs": awaiting}, LEGACY) == (None, "awaited")


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("files", "handler", "kind", "message"),
    [
        ({"h.js": CJS}, "h", "Runtime.MalformedHandlerName", "Bad handler"),
        (
            {"h.js": CJS},
            "../h.handler",
            "Runtime.MalformedHandlerName",
            "'../h.handler' is not a valid handler name. Use absolute paths when specifying root directories in "
            "handler names.",
        ),
        ({"h.js": CJS}, "h.other", "Runtime.HandlerNotFound", "h.other is undefined or not exported"),
        ({"h.js": "exports.handler = 7;"}, "h.handler", "Runtime.HandlerNotFound", "h.handler is not a function"),
        ({"g.js": CJS}, "h.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'h'\nRequire stack:\n"),
        (
            {"h.js": "require('nothing-of-the-kind');"},
            "h.handler",
            "Runtime.ImportModuleError",
            "Error: Cannot find module 'nothing-of-the-kind'\nRequire stack:\n",
        ),
        ({"h.mjs": "import 'no-such-package';"}, "h.handler", "Error", "Cannot find package 'no-such-package'"),
        ({"h.js": "let = ;"}, "h.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ({"h.mjs": "let a = ;"}, "h.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ';'"),
        ({"h.js": "throw new TypeError('at load');"}, "h.handler", "TypeError", "at load"),
        ({"h.mjs": "throw new TypeError('at load');"}, "h.handler", "TypeError", "at load"),
    ],
)
async def test_no_handler(
    bench: Bench, runtime: str, files: dict[str, str | bytes], handler: str, kind: str, message: str
) -> None:
    error, body = await call(bench, files, runtime, handler=handler)
    assert (error, body["errorType"]) == ("Unhandled", kind)
    assert body["errorMessage"].startswith(message)
    assert list(body) == ["errorType", "errorMessage", "trace"]
    assert all(isinstance(line, str) for line in body["trace"])
    label = "Init Error" if runtime == MODERN else "Uncaught Exception"
    assert f'\tERROR\t{label} \t{{"errorType":"{kind}"' in bench.logs.text


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_errors_beside_the_load(bench: Bench, runtime: str) -> None:
    late = "setImmediate(() => { throw new RangeError('late'); }); await new Promise(() => setInterval(() => {}, 1e6));"
    error, body = await call(bench, {"h.mjs": late}, runtime)
    assert (error, body["errorType"], body["errorMessage"]) == ("Unhandled", "RangeError", "late")
    rejected = "Promise.reject(new RangeError('stray')); await new Promise(() => setInterval(() => {}, 1e6));"
    error, body = await call(bench, {"h.mjs": rejected}, runtime)
    assert body["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert body["errorMessage"] == "RangeError: stray"
    error, body = await call(bench, {"h.js": "process.exit(3);"}, runtime)
    assert body["errorType"] == "Runtime.ExitError"
    assert body["errorMessage"].endswith("Runtime exited with error: exit status 3")


@pytest.mark.parametrize(
    "files", [{"h.js": "require('aws-sdk');"}, {"h.mjs": "import '@aws-sdk/client-s3';"}, {"h.js": "require('other');"}]
)
async def test_missing_sdk_is_explained(bench: Bench, files: dict[str, str | bytes]) -> None:
    assert (await call(bench, files))[0] == "Unhandled"
    assert ("the AWS SDK is part of the runtimes of AWS" in bench.logs.text) == ("sdk" in str(files))


async def test_import_that_never_ends_with_nothing_to_do(bench: Bench) -> None:
    _, body = await call(bench, {"h.mjs": "await new Promise(() => {}); " + ESM})
    assert body["errorType"] == "Runtime.ExitError"


async def test_subpath_imports_of_package_json(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "package.json": '{"type": "module", "imports": {"#lib/*": "./src/lib/*.js"}}',
        "src/lib/word.js": "export default 'mapped';",
        "h.js": "import word from '#lib/word'; export const handler = async () => word;",
    }
    assert await call(bench, files) == (None, "mapped")


IMPORT_MAP: dict[str, str | bytes] = {
    "importmap.json": """{
        "imports": {
            "word": "./vendor/word.mjs", "lib/": "./vendor/lib/", "lib/special.mjs": "./vendor/special.mjs",
            "alias": "packaged", "path": "node:path", "./config.mjs": "./vendor/config.mjs"
        },
        "scopes": {"./vendor/": {"word": "./vendor/scoped.mjs"}}
    }""",
    "vendor/word.mjs": "export default 'word';",
    "vendor/scoped.mjs": "export default 'scoped';",
    "vendor/special.mjs": "export default 'special';",
    "vendor/config.mjs": "export default 'config';",
    "vendor/lib/a.mjs": "import word from 'word'; export default `a ${word}`;",
    "node_modules/packaged/index.js": "module.exports = 'packaged';",
    "h.mjs": """
        import word from 'word';
        import a from 'lib/a.mjs';
        import special from 'lib/special.mjs';
        import alias from 'alias';
        import config from './config.mjs';
        import { posix } from 'path';
        export const handler = async () => [word, a, special, alias, config, posix.sep];
    """,
}


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_import_map(bench: Bench, runtime: str) -> None:
    expected = ["word", "a scoped", "special", "packaged", "config", "/"]
    assert await call(bench, IMPORT_MAP, runtime) == (None, expected)


async def test_import_map_for_require(bench: Bench) -> None:
    files: dict[str, str | bytes] = {
        "importmap.json": '{"imports": {"word": "./vendor/word.cjs"}}',
        "vendor/word.cjs": "module.exports = 'word';",
        "h.cjs": "const word = require('word'); exports.handler = async () => word;",
    }
    assert await call(bench, files) == (None, "word")


async def test_broken_import_map(bench: Bench) -> None:
    error, body = await call(bench, {"h.js": CJS, "importmap.json": "{"})
    assert error == "Unhandled"
    assert body["errorMessage"].startswith("Cannot read the import map ")


@pytest.mark.parametrize("runtime", [MODERN, LEGACY])
async def test_packages_of_layers(bench: Bench, runtime: str) -> None:
    bench.code.add(
        "layer",
        {
            "nodejs/node_modules/both/package.json": '{"exports": {"import": "./i.mjs", "require": "./r.js"}}',
            "nodejs/node_modules/both/i.mjs": "export default 'imported';",
            "nodejs/node_modules/both/r.js": "module.exports = 'required';",
            f"nodejs/node{runtime[6:8]}/node_modules/own/index.js": f"module.exports = '{runtime[6:8]}';",
            "nodejs/node18/node_modules/foreign/index.js": "",
        },
    )
    source = """
        import { createRequire } from 'module';
        import imported from 'both';
        import own from 'own';
        const require = createRequire(import.meta.url);
        let foreign = 'not found';
        try { foreign = await import('foreign'); } catch {}
        export const handler = async () => [imported, require('both'), own, foreign];
    """
    environment = await bench.start({"h.mjs": source}, runtime=runtime, layers=("layer",))
    assert await ask(environment) == (None, ["imported", "required", runtime[6:8], "not found"])


async def test_callbacks_ended_with_24(bench: Bench) -> None:
    error, body = await call(bench, {"h.js": "exports.handler = (event, context, callback) => callback(null, 1);"})
    assert (error, body["errorType"]) == ("Unhandled", "Runtime.CallbackHandlerDeprecated")
    assert body["errorMessage"].startswith(
        "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24."
    )
