// A plain EventSource in headless Chromium: it hears what happens, is cut off, and goes on by itself.
import assert from "node:assert/strict";
import test from "node:test";

import { launch } from "./browser.mjs";
import { cuttable } from "./cut.mjs";
import { report, run, tokens, tooLong } from "./server.mjs";

const field = "Live_EventSource__c";
const subscription = `subscription ($field: String!) {
  syncErrorEvents(kinds: [], filter: { fields: [$field] }) { kind affectedRecordCount }
}`;

test("EventSource resumes after a cut", { timeout: 60_000 }, async () => {
  const { createStreamTicket } = await run(
    tokens.read,
    `mutation ($input: CreateStreamTicketInput!) {
      createStreamTicket(input: $input) { ticket userErrors { message } }
    }`,
    { input: { query: subscription, variables: JSON.stringify({ field }) } },
  );
  const relay = await cuttable();
  const browser = await launch();
  try {
    const page = await browser.newPage();
    const heard = [];
    const opened = [];
    let changed = () => {};
    await page.exposeFunction("tell", (what, value) => {
      (what === "open" ? opened : heard).push(value);
      changed();
    });
    const until = async (holds) => {
      while (!holds()) await new Promise((resolve) => (changed = resolve));
    };
    // A page of the server's own origin.
    await page.goto(relay.url.replace("/graphql", "/healthz"));
    await page.evaluate((ticket) => {
      const source = new EventSource(`/graphql?ticket=${ticket}`);
      source.addEventListener("open", () => window.tell("open", true));
      source.addEventListener("next", (event) => window.tell("next", JSON.parse(event.data)));
    }, createStreamTicket.ticket);
    await until(() => opened.length === 1);
    await report([tooLong(field, "es-1")]);
    await until(() => heard.length === 1);
    relay.cut();
    await report([tooLong(field, "es-2")]);
    await report([tooLong(field, "es-3")]);
    await until(() => heard.length === 3);
    const counts = heard.map(({ data }) => data.syncErrorEvents.affectedRecordCount);
    assert.deepEqual(counts, [1, 2, 3]);
    assert.equal(opened.length, 2);
  } finally {
    await browser.close();
    relay.close();
  }
});
