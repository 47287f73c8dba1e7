// Apollo Client: cache, errors and persisted queries.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import test from "node:test";

import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { relayStylePagination } from "@apollo/client/utilities";

import { fetchWith, report, tokens, tooLong, url } from "./server.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

function client({ token = tokens.read, sent, cache = new InMemoryCache(), persisted } = {}) {
  const http = new HttpLink({ uri: url, fetch: fetchWith(token, sent) });
  const link = persisted ? new PersistedQueryLink({ sha256, ...persisted }).concat(http) : http;
  return new ApolloClient({ link, cache });
}

/** A document that no server has seen. */
const fresh = () => {
  const name = `Fresh${randomUUID().replaceAll("-", "")}`;
  return gql(`query ${name}($hubId: ID) { portal(hubId: $hubId) { id hubId } }`);
};

test("a query with variables fills the cache by id", async () => {
  await report([tooLong("Apollo_Cache__c", "9101")]);
  const apollo = client();
  const { data } = await apollo.query({
    query: gql`
      query Errors($fields: [String!], $first: Int) {
        portal(hubId: "1001") {
          id
          syncErrors(filter: { fields: $fields }, first: $first) {
            totalCount
            nodes {
              id
              category
              affectedRecordCount
            }
          }
        }
      }
    `,
    variables: { fields: ["Apollo_Cache__c"], first: 5 },
  });
  const { totalCount, nodes } = data.portal.syncErrors;
  assert.equal(totalCount, 1);
  assert.equal(nodes[0].category, "PROPERTY_VALUES");

  const cached = apollo.cache.extract();
  assert.equal(cached[`SyncError:${nodes[0].id}`].affectedRecordCount, 1);
  assert.equal(cached[`Portal:${data.portal.id}`].__typename, "Portal");
});

test("pages become one list in the cache", async () => {
  const fields = ["Apollo_A__c", "Apollo_B__c", "Apollo_C__c"];
  await report(fields.map((field) => tooLong(field, "9102")));
  const typePolicies = {
    Portal: { fields: { syncErrors: relayStylePagination(["filter", "orderBy"]) } },
  };
  const apollo = client({ cache: new InMemoryCache({ typePolicies }) });
  const query = gql`
    query Pages($fields: [String!], $after: String) {
      portal {
        id
        syncErrors(
          filter: { fields: $fields }
          orderBy: { field: FIRST_SEEN_AT }
          first: 2
          after: $after
        ) {
          edges {
            cursor
            node {
              id
            }
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
    }
  `;
  const { data } = await apollo.query({ query, variables: { fields } });
  const { edges, pageInfo } = data.portal.syncErrors;
  assert.equal(edges.length, 2);
  assert.equal(pageInfo.hasNextPage, true);

  // Else the first page, which the cache has, would be the answer.
  const fetchPolicy = "network-only";
  const variables = { fields, after: pageInfo.endCursor };
  await apollo.query({ query, variables, fetchPolicy });
  const whole = apollo.readQuery({ query, variables: { fields } }).portal.syncErrors;
  assert.equal(new Set(whole.edges.map(({ node }) => node.id)).size, 3);
  assert.equal(whole.pageInfo.hasNextPage, false);
});

const configure = gql`
  mutation Configure($input: ConfigurePortalInput!) {
    configurePortal(input: $input) {
      portal {
        id
        name
      }
      userErrors {
        field
        code
        message
      }
    }
  }
`;

test("a mutation's answer changes what the cache holds", async () => {
  const apollo = client({ token: tokens.manage });
  const query = gql`
    {
      portal {
        id
        name
      }
    }
  `;
  const name = `Apollo ${randomUUID()}`;
  const before = await apollo.query({ query });
  assert.notEqual(before.data.portal.name, name);
  const { data } = await apollo.mutate({ mutation: configure, variables: { input: { name } } });
  assert.deepEqual(data.configurePortal.userErrors, []);
  assert.equal(apollo.readQuery({ query }).portal.name, name);
});

test("what a mutation refuses is data, not an error", async () => {
  const { data } = await client({ token: tokens.manage }).mutate({
    mutation: configure,
    variables: { input: { timeZone: "Nowhere/Land" } },
  });
  const { portal, userErrors } = data.configurePortal;
  assert.equal(portal, null);
  assert.equal(userErrors.length, 1);
  assert.equal(userErrors[0].code, "INVALID");
  assert.deepEqual(userErrors[0].field, ["input", "timeZone"]);
});

const code = (expected) => (error) =>
  CombinedGraphQLErrors.is(error) && error.errors[0].extensions.code === expected;

test("a bad request's code is visible", async () => {
  const query = gql`
    {
      portal {
        noSuchField
      }
    }
  `;
  await assert.rejects(client().query({ query }), code("GRAPHQL_VALIDATION_FAILED"));
  await assert.rejects(
    client().mutate({ mutation: configure, variables: { input: { name: "x" } } }),
    code("FORBIDDEN"),
  );
  await assert.rejects(client({ token: "none" }).query({ query }), code("UNAUTHENTICATED"));
});

test("a hash that the server does not know is sent again with its text", async () => {
  const query = fresh();
  const variables = { hubId: "1001" };
  const sent = [];
  // A client each: the second must not find the answer in the first one's cache.
  for (let i = 0; i < 2; i += 1) {
    const { data } = await client({ sent, persisted: {} }).query({ query, variables });
    assert.equal(data.portal.hubId, "1001");
  }
  assert.deepEqual(sent, ["POST hash", "POST text hash", "POST hash"]);

  const byGet = client({ sent, persisted: { useGETForHashedQueries: true } });
  const { data } = await byGet.query({ query, variables });
  assert.equal(data.portal.hubId, "1001");
  assert.equal(sent.at(-1), "GET hash");
});

test("a hash that the server does not know by GET is sent again by POST", async () => {
  const query = fresh();
  const sent = [];
  for (let i = 0; i < 2; i += 1) {
    const apollo = client({ sent, persisted: { useGETForHashedQueries: true } });
    const { data } = await apollo.query({ query, variables: { hubId: "1001" } });
    assert.equal(data.portal.hubId, "1001");
  }
  assert.deepEqual(sent, ["GET hash", "POST text hash", "GET hash"]);
});

test("an unknown hash alone is answered PersistedQueryNotFound", async () => {
  const never = client({ persisted: { retry: () => false } });
  await assert.rejects(never.query({ query: fresh(), variables: {} }), (error) => {
    assert.ok(CombinedGraphQLErrors.is(error));
    assert.equal(error.errors[0].message, "PersistedQueryNotFound");
    assert.equal(error.errors[0].extensions.code, "NOT_FOUND");
    return true;
  });
});

test("a hash of another text is refused", async () => {
  const sent = [];
  const wrong = client({ sent, persisted: { sha256: () => sha256(randomUUID()) } });
  await assert.rejects(wrong.query({ query: fresh(), variables: {} }), code("BAD_USER_INPUT"));
  assert.deepEqual(sent, ["POST hash", "POST text hash"]);
});

test("mutations may be persisted too, by POST", async () => {
  const name = `Persisted${randomUUID().replaceAll("-", "")}`;
  const mutation = gql(`mutation ${name}($input: ConfigurePortalInput!) {
    configurePortal(input: $input) { userErrors { code } }
  }`);
  const sent = [];
  const persisted = { useGETForHashedQueries: true };
  const apollo = client({ token: tokens.manage, sent, persisted });
  for (let i = 0; i < 2; i += 1) {
    const { data } = await apollo.mutate({ mutation, variables: { input: { locale: "EN" } } });
    assert.deepEqual(data.configurePortal.userErrors, []);
  }
  assert.deepEqual(sent, ["POST hash", "POST text hash", "POST hash"]);
});
