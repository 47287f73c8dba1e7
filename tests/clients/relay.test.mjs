// Relay: its compiler takes the contract, and the server what the compiler makes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";

import compiler from "relay-compiler";

import { report, run, tokens, tooLong } from "./server.mjs";

const here = (name) => new URL(name, import.meta.url);

const config = {
  src: "src",
  schema: "schema.graphql",
  artifactDirectory: "artifacts",
  language: "typescript",
  eagerEsModules: true,
  customScalarTypes: { DateTime: "string", URL: "string" },
  // Writes the text of each operation by its hash.
  persistConfig: { file: "operations.json", algorithm: "SHA256" },
};

/** The compiler's operations by name. */
function compile() {
  const folder = mkdtempSync(path.join(tmpdir(), "relay-"));
  try {
    mkdirSync(path.join(folder, "artifacts"));
    cpSync(here("relay"), path.join(folder, "src"), { recursive: true });
    cpSync(here("../../schema.graphql"), path.join(folder, "schema.graphql"));
    writeFileSync(path.join(folder, "relay.config.json"), JSON.stringify(config));
    writeFileSync(path.join(folder, "operations.json"), "{}");
    execFileSync(compiler, ["relay.config.json"], { cwd: folder, stdio: "pipe" });
    const texts = Object.values(JSON.parse(readFileSync(path.join(folder, "operations.json"))));
    return Object.fromEntries(texts.map((text) => [/^(?:query|mutation) (\w+)/m.exec(text)[1], text]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("Relay compiles against the contract and its operations run", async () => {
  const operations = compile();
  assert.deepEqual(Object.keys(operations).sort(), [
    "SyncErrorListConfigureMutation",
    "SyncErrorListPaginationQuery",
    "SyncErrorListQuery",
    "SyncErrorListRowQuery",
  ]);

  const fields = ["Relay_A__c", "Relay_B__c"];
  await report(fields.map((field) => tooLong(field, "9301")));
  const filter = { fields };
  const { portal } = await run(tokens.read, operations.SyncErrorListQuery, { filter });
  assert.equal(portal.syncErrors.totalCount, 2);
  assert.equal(portal.syncErrors.edges.length, 1);
  assert.equal(portal.syncErrors.pageInfo.hasNextPage, true);

  const next = await run(tokens.read, operations.SyncErrorListPaginationQuery, {
    id: portal.id,
    cursor: portal.syncErrors.pageInfo.endCursor,
    filter,
  });
  const [first] = portal.syncErrors.edges;
  const [second] = next.node.syncErrors.edges;
  assert.notEqual(second.node.id, first.node.id);
  assert.equal(next.node.syncErrors.pageInfo.hasNextPage, false);

  const { node } = await run(tokens.read, operations.SyncErrorListRowQuery, { id: first.node.id });
  assert.deepEqual(node, first.node);

  const { configurePortal } = await run(tokens.manage, operations.SyncErrorListConfigureMutation, {
    input: { timeZone: "Europe/Berlin" },
  });
  assert.deepEqual(configurePortal.userErrors, []);
  assert.equal(configurePortal.portal.timeZone, "Europe/Berlin");
});
