// GraphQL over HTTP, as graphql-http audits it: what is only recommended counts as needed.
import assert from "node:assert/strict";
import test from "node:test";

import { serverAudits } from "graphql-http";

import { fetchWith, tokens, url } from "./server.mjs";

test("GraphQL over HTTP", async (t) => {
  const audits = serverAudits({ url, fetchFn: fetchWith(tokens.read) });
  assert.equal(audits.length, 61);
  for (const audit of audits) {
    await t.test(`${audit.id} ${audit.name}`, async () => {
      const { status, reason } = await audit.fn();
      assert.equal(status, "ok", reason);
    });
  }
});
