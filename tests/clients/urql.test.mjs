// urql: it sends queries by GET where they fit, mutations by POST.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";

import { Client, cacheExchange, fetchExchange, gql } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";

import { fetchWith, report, tokens, tooLong, url } from "./server.mjs";

function client({ token = tokens.read, sent, persisted, ...options } = {}) {
  const exchanges = persisted
    ? [cacheExchange, persistedExchange(persisted), fetchExchange]
    : [cacheExchange, fetchExchange];
  return new Client({ url, exchanges, fetch: fetchWith(token, sent), ...options });
}

const errors = gql`
  query Errors($fields: [String!]) {
    portal {
      id
      syncErrors(filter: { fields: $fields }) {
        totalCount
        nodes {
          id
          title
        }
      }
    }
  }
`;

test("a query goes by GET or by POST", async () => {
  await report([tooLong("Urql_Note__c", "9201")]);
  const sent = [];
  for (const preferGetMethod of ["within-url-limit", false]) {
    const urql = client({ sent, preferGetMethod });
    const { data, error } = await urql.query(errors, { fields: ["Urql_Note__c"] });
    assert.ifError(error);
    assert.equal(data.portal.syncErrors.totalCount, 1);
    assert.match(data.portal.syncErrors.nodes[0].title, /Urql_Note__c/);
  }
  assert.deepEqual(sent, ["GET text", "POST text"]);
});

const configure = gql`
  mutation Configure($input: ConfigurePortalInput!) {
    configurePortal(input: $input) {
      portal {
        id
        hubspotAppUrl
      }
      userErrors {
        field
        code
      }
    }
  }
`;

test("a mutation answers its data or its user errors", async () => {
  const urql = client({ token: tokens.manage });
  const hubspotAppUrl = "https://app-eu1.hubspot.com";
  const done = await urql.mutation(configure, { input: { hubspotAppUrl } });
  assert.ifError(done.error);
  assert.deepEqual(done.data.configurePortal.userErrors, []);
  assert.equal(new URL(done.data.configurePortal.portal.hubspotAppUrl).origin, hubspotAppUrl);

  const refused = await urql.mutation(configure, { input: { hubspotAppUrl: "http://plain.test" } });
  assert.ifError(refused.error);
  assert.equal(refused.data.configurePortal.portal, null);
  const [{ field, code }] = refused.data.configurePortal.userErrors;
  assert.deepEqual(field, ["input", "hubspotAppUrl"]);
  assert.equal(code, "INVALID");
});

test("a bad request's code is visible", async () => {
  const query = gql`
    {
      portal {
        noSuchField
      }
    }
  `;
  const bad = await client().query(query, {});
  assert.equal(bad.error.graphQLErrors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  const unknown = await client({ token: "none" }).query(errors, {});
  assert.equal(unknown.error.graphQLErrors[0].extensions.code, "UNAUTHENTICATED");
});

for (const [method, preferGetForPersistedQueries] of [
  ["GET", "within-url-limit"],
  ["POST", false],
]) {
  test(`a persisted query by ${method}`, async () => {
    const name = `Fresh${randomUUID().replaceAll("-", "")}`;
    const query = gql(`query ${name} { portal { id hubId } }`);
    const sent = [];
    // A client each: the second must not find the answer in the first one's cache.
    for (let i = 0; i < 2; i += 1) {
      const urql = client({ sent, persisted: { preferGetForPersistedQueries } });
      const { data, error } = await urql.query(query, {});
      assert.ifError(error);
      assert.equal(data.portal.hubId, "1001");
    }
    assert.deepEqual(sent, [`${method} hash`, `${method} text hash`, `${method} hash`]);
  });
}
