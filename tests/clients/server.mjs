// The server under test, as a user of its API sees it.
import assert from "node:assert/strict";

function env(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const url = `${env("SYNC_HEALTH_URL")}/graphql`;
export const tokens = {
  read: env("SYNC_HEALTH_READ_TOKEN"),
  manage: env("SYNC_HEALTH_MANAGE_TOKEN"),
  report: env("SYNC_HEALTH_REPORT_TOKEN"),
};

/** A fetch that sends the token with every request and, when given a list, notes there what it sent. */
export function fetchWith(token, sent) {
  return (input, init = {}) => {
    if (sent) sent.push(noted(input, init));
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${token}`);
    return fetch(input, { ...init, headers });
  };
}

/** A request in short: its method, and whether it has the document's text, its hash or both. */
function noted(input, { method = "GET", body }) {
  const request =
    method === "GET" ? Object.fromEntries(new URL(input).searchParams) : JSON.parse(body);
  const { query, extensions } = request;
  const { persistedQuery } = typeof extensions === "string" ? JSON.parse(extensions) : extensions ?? {};
  return [method, query && "text", persistedQuery && "hash"].filter(Boolean).join(" ");
}

/** Runs a document without any client. */
export async function run(token, query, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

/** What an engine reports about one contact whose value is too long for `field`. */
export function tooLong(field, contact) {
  return {
    direction: "HUBSPOT_TO_SALESFORCE",
    code: "STRING_TOO_LONG",
    message: `${field}: data value too large: (max length=40)`,
    fields: [field],
    hubspotRecord: { objectType: "contact", recordId: contact },
    salesforceRecord: { objectType: "Contact" },
  };
}

/** Reports failures. The files of tests run at once on one portal: each reports fields of its own. */
export async function report(failures) {
  const { reportSyncFailures } = await run(
    tokens.report,
    `mutation ($input: ReportSyncFailuresInput!) {
      reportSyncFailures(input: $input) { recordedCount userErrors { code message } }
    }`,
    { input: { failures } },
  );
  assert.deepEqual(reportSyncFailures, { recordedCount: failures.length, userErrors: [] });
}
