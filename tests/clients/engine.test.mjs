// The engine of docs/engines.md, as it stands there: compiled with generated types, it syncs with a provider and resyncs.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";

import { parse } from "graphql";
import WebSocket from "ws";

import { compile, here, withGenerated } from "./generated.mjs";
import { run, tokens, url } from "./server.mjs";

const manual = readFileSync(here("../../docs/engines.md"), "utf8");

/** The block of the page in a language that holds a text. */
function block(language, text) {
  const blocks = [...manual.matchAll(/```(\w+)\n([^]*?)```/g)];
  const found = blocks.find(([, name, code]) => name === language && code.includes(text));
  assert.ok(found, `docs/engines.md has no ${language} with ${text}`);
  return found[2];
}

/** A provider on a real port that answers as Salesforce's REST API does, and refuses some contacts. */
async function provider(refused) {
  const server = createServer((request, response) => {
    const contact = request.url.split("/").at(-1);
    response.setHeader("Sforce-Limit-Info", "api-usage=18/100000");
    response.setHeader("Content-Type", "application/json");
    const errors = [{ message: "Nickname: data value too large: x (max length=40)", errorCode: "STRING_TOO_LONG", fields: ["Nickname"] }];
    response.writeHead(refused.has(contact) ? 400 : 204);
    response.end(refused.has(contact) ? JSON.stringify(errors) : undefined);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, at: `http://127.0.0.1:${server.address().port}` };
}

/** Writes one contact to the provider. */
async function sync(at, change) {
  const response = await fetch(`${at}/contacts/${change.hubspotRecord.recordId}`, { method: "PATCH" });
  const limitInfo = response.headers.get("Sforce-Limit-Info");
  const text = await response.text();
  if (response.ok) return { limitInfo };
  const [{ errorCode, message, fields }] = JSON.parse(text);
  return { failure: { code: errorCode, message, fields, raw: text }, limitInfo };
}

async function state() {
  const query = `{ portal { quota { usedLast24Hours orgUsedLast24Hours }
    syncErrors(statuses: [], filter: { fields: ["Nickname"] }) { nodes { id status affectedRecordCount latestResync { status } } } } }`;
  const { portal } = await run(tokens.read, query);
  return { quota: portal.quota, error: portal.syncErrors.nodes[0] };
}

test("the manual's engine reports, reserves, claims and answers", async (t) => {
  const operations = block("graphql", "mutation EngineReport");
  const documents = [{ location: "engine.graphql", document: parse(operations) }];
  const Engine = await withGenerated(documents, async (folder) => {
    writeFileSync(path.join(folder, "engine.ts"), block("ts", "export class Engine"));
    compile(folder, "engine.ts", "--outDir", "out", "--lib", "es2022,dom,dom.iterable", "--types", "node", "--skipLibCheck");
    return (await import(pathToFileURL(path.join(folder, "out", "engine.js")))).Engine;
  });
  const refused = new Set(["e1", "e2"]);
  const { server, at } = await provider(refused);
  t.after(() => server.close());
  const engine = new Engine(url, tokens.report, (change) => sync(at, change));
  const before = await state();
  const contacts = ["e1", "e2", "e3"].map((recordId) => ({
    direction: "HUBSPOT_TO_SALESFORCE",
    hubspotRecord: { objectType: "contact", recordId },
  }));
  await engine.changed(contacts);
  const failed = await state();
  assert.equal(failed.error.affectedRecordCount, 2);
  assert.ok(failed.quota.usedLast24Hours >= before.quota.usedLast24Hours + 3);

  const stop = engine.listen(WebSocket);
  t.after(stop);
  refused.delete("e1");
  const ask = `mutation ($input: ResyncSyncErrorsInput!) { resyncSyncErrors(input: $input) { batch { id } } }`;
  const resynced = async (expected) => {
    await run(tokens.manage, ask, { input: { errorIds: [failed.error.id] } });
    for (;;) {
      const { error } = await state();
      if (error.latestResync?.status === expected) return error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const half = await resynced("STILL_FAILING");
  assert.deepEqual([half.status, half.affectedRecordCount], ["OPEN", 1]);
  refused.clear();
  const whole = await resynced("RESOLVED");
  assert.deepEqual([whole.status, whole.affectedRecordCount], ["RESOLVED", 0]);
});
