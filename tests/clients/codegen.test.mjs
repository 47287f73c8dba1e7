// GraphQL Code Generator makes types of the contract that a strict program can use.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as typescript from "@graphql-codegen/typescript";
import * as typescriptOperations from "@graphql-codegen/typescript-operations";
import * as graphql from "graphql";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const parsed = (name) => graphql.parse(readFileSync(here(name), "utf8"));

const contract = parsed("../../schema.graphql");
const schema = graphql.buildASTSchema(contract);
const documents = ["operations.graphql", "fragments.graphql"].map((name) => ({
  location: name,
  document: parsed(name),
}));

const config = {
  scalars: { DateTime: "string", URL: "string" },
  strictScalars: true,
  // Enums as texts: the plugins each have a name for that.
  enumsAsTypes: true,
  enumType: "string-literal",
};

test("the operations leave out no root field and no type", () => {
  const all = graphql.concatAST(documents.map(({ document }) => document));
  assert.deepEqual(graphql.validate(schema, all), []);

  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  const missing = new Set(roots.flatMap((type) => Object.keys(type.getFields())));
  for (const type of Object.values(schema.getTypeMap())) {
    if (graphql.isObjectType(type) && !graphql.isIntrospectionType(type)) missing.add(type.name);
  }
  const types = new graphql.TypeInfo(schema);
  const Field = () => {
    missing.delete(types.getParentType().name);
    if (roots.includes(types.getParentType())) missing.delete(types.getFieldDef().name);
  };
  graphql.visit(all, graphql.visitWithTypeInfo(types, { Field }));
  assert.deepEqual([...missing], []);
});

test("a strict program uses the generated types", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "codegen-"));
  try {
    const generate = async (filename, pluginMap) => {
      const plugins = Object.keys(pluginMap).map((name) => ({ [name]: {} }));
      const input = { filename, schema: contract, documents, config, plugins, pluginMap };
      writeFileSync(path.join(folder, filename), await codegen(input));
    };
    await generate("types.ts", { typescript });
    await generate("operations.ts", { typescriptOperations, typedDocumentNode });
    cpSync(here("program.ts"), path.join(folder, "program.ts"));
    symlinkSync(here("node_modules"), path.join(folder, "node_modules"));
    const options = ["--strict", "--noEmit", "--module", "esnext", "--moduleResolution", "bundler"];
    const tsc = here("node_modules/typescript/bin/tsc");
    const checked = spawnSync(process.execPath, [tsc, ...options, "program.ts"], {
      cwd: folder,
      encoding: "utf8",
    });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
