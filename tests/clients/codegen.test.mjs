// GraphQL Code Generator makes types of the contract that a strict program can use.
import assert from "node:assert/strict";
import { cpSync, readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import * as graphql from "graphql";

import { compile, contract, here, withGenerated } from "./generated.mjs";

const schema = graphql.buildASTSchema(contract);
const documents = ["operations.graphql", "fragments.graphql"].map((name) => ({
  location: name,
  document: graphql.parse(readFileSync(here(name), "utf8")),
}));

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

test("a strict program uses the generated types", () =>
  withGenerated(documents, (folder) => {
    cpSync(here("program.ts"), path.join(folder, "program.ts"));
    compile(folder, "program.ts", "--noEmit");
  }));
