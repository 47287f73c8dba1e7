// What GraphQL Code Generator makes of the contract and of documents, in a folder that is removed afterwards.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as typescript from "@graphql-codegen/typescript";
import * as typescriptOperations from "@graphql-codegen/typescript-operations";
import * as graphql from "graphql";

export const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The contract, parsed. */
export const contract = graphql.parse(readFileSync(here("../../schema.graphql"), "utf8"));

const config = {
  scalars: { DateTime: "string", URL: "string" },
  strictScalars: true,
  // Enums as texts: the plugins each have a name for that.
  enumsAsTypes: true,
  enumType: "string-literal",
};

/** Makes types.ts and operations.ts of documents and calls `use` with the folder they are in. */
export async function withGenerated(documents, use) {
  const folder = mkdtempSync(path.join(tmpdir(), "codegen-"));
  try {
    const generate = async (filename, pluginMap) => {
      const plugins = Object.keys(pluginMap).map((name) => ({ [name]: {} }));
      const input = { filename, schema: contract, documents, config, plugins, pluginMap };
      writeFileSync(path.join(folder, filename), await codegen(input));
    };
    await generate("types.ts", { typescript });
    await generate("operations.ts", { typescriptOperations, typedDocumentNode });
    writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }');
    symlinkSync(here("node_modules"), path.join(folder, "node_modules"));
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Compiles a program of the folder, strictly; with `--outDir` among the options, to JavaScript. */
export function compile(folder, program, ...options) {
  const strict = ["--strict", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
  const tsc = here("node_modules/typescript/bin/tsc");
  const checked = spawnSync(process.execPath, [tsc, ...strict, ...options, program], {
    cwd: folder,
    encoding: "utf8",
  });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
}
