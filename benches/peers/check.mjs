// node check.mjs URL QUERY: whether a peer answers the page that is measured.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const [url, file] = process.argv.slice(2);
const response = await fetch(url, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ query: await readFile(file, "utf8") }),
});
const text = await response.text();
assert.equal(response.status, 200, text);
const { data, errors } = JSON.parse(text);
assert.equal(errors, undefined, text);

const { nodes } = data.allSyncErrors ?? data.portal.syncErrors;
assert.equal(nodes.length, 50, "errors of the page");
assert.equal(new Set(nodes.map(({ id }) => id)).size, 50, "different errors");
for (const error of nodes) {
  const records = error.affectedRecords.nodes;
  assert.equal(records.length, 5, `records of ${error.id}`);
  assert.ok(error.status === 0 || error.status === "OPEN", error.id);
  for (const { message, lastSeenAt } of [error, ...records]) assert.ok(message && lastSeenAt, error.id);
}
// Without the Z, texts of RFC 3339 sort as their times do, whatever their digits.
const times = nodes.map(({ lastSeenAt }) => lastSeenAt.replace("Z", ""));
assert.deepEqual(times, times.toSorted().reverse(), "newest first");
console.log(`${Buffer.byteLength(text)} bytes`);
